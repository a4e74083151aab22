from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import beholder
from beholder._published.weights import Published
from beholder.errors import ConfigError, WeightsError
from beholder.rewards._towers import build_towers
from beholder.rewards.hps import PUBLISHED, VIT_H_14, own_name, recognises
from tests.rewards.contract import check_reward
from tests.rewards.tinies.hps import CONFIG, filled, published_keys, published_state, tiny
from tests.rewards.tiny_towers import OPEN_CLIP

FIXTURE = Path(__file__).parents[1] / "data/rewards/hps.safetensors"  # its metadata says how
PROMPTS = [
    "a red cat",
    "two dogs in the snow, oil painting",
    "",
    "a cube",
    "a very long prompt " * 30,
    "naïve café 12.5%",
]


def shapes_of(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


def test_contract() -> None:
    check_reward(tiny())


@pytest.mark.parametrize("resampling", ["antialiased", "aliased"])
def test_scores_are_those_of_the_package_hpsv2(resampling: str, tmp_path: Path) -> None:
    expected = load_file(FIXTURE)
    weights = filled(shapes_of(published_state(tiny())))
    torch.save({"epoch": 1, "state_dict": weights}, tmp_path / "hps.pt")
    reward = tiny(weights=tmp_path / "hps.pt", resampling=resampling)
    pictures = [expected[f"picture_{k}"] for k in range(len(PROMPTS))]
    scores = reward.score(pictures, PROMPTS).total
    error = (scores - expected[f"scores_{resampling}"]).abs().max().item()
    assert error < 1e-6
    assert error <= reward.card.parity[0].error
    red = reward.preprocess(pictures[1][None])[0, 0]
    assert torch.equal(red, expected[f"red_of_picture_1_{resampling}"])


def test_the_two_resamplings_give_other_scores() -> None:
    expected = load_file(FIXTURE)
    gap = (expected["scores_antialiased"] - expected["scores_aliased"]).abs()
    assert gap.max() > 0.2 * expected["scores_antialiased"].std()


def test_the_score_is_the_cosine() -> None:
    reward = tiny()
    model: Any = reward.towers.model
    values, prompts = torch.randn(3, 3, 64, 64), ["a cat", "", "two dogs"]
    image = model.encode_image(values, normalize=True)
    text = model.encode_text(reward.towers.tokenize(prompts), normalize=True)
    expected = (image * text).sum(dim=1)
    torch.testing.assert_close(reward.score_prepared(values, prompts).total, expected)
    ids = reward.towers.tokenize(prompts)
    torch.testing.assert_close(reward.forward_features(values, ids), expected)


def test_a_picture_of_the_models_own_height_is_filled_up_too() -> None:
    reward = tiny()
    picture = torch.rand(1, 3, 64, 49)
    values = reward.preprocess(picture)
    black = reward.preprocess(torch.zeros(1, 3, 64, 64))
    assert torch.equal(values[..., :7], black[..., :7])
    assert torch.equal(values[..., 56:], black[..., 56:])
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    torch.testing.assert_close(values[..., 7:56], (picture - mean) / std)


@pytest.mark.parametrize("prefix", ["", "model.", "module."])
def test_published_keys_load_with_any_wrapper(prefix: str, tmp_path: Path) -> None:
    reward = tiny()
    state = {prefix + key: value for key, value in published_state(reward).items()}
    assert {own_name(key) for key in state} == set(reward.state_dict())
    save_file(state, tmp_path / "hps.safetensors")
    loaded = beholder.load("hps", weights=tmp_path / "hps.safetensors", config=CONFIG)
    pixels = torch.rand(2, 3, 70, 64)
    assert torch.equal(loaded.score(pixels, "a").total, reward.score(pixels, "a").total)


def test_keys_that_are_missing_unexpected_or_misshapen_are_named(tmp_path: Path) -> None:
    state = published_state(tiny())
    del state["transformer.resblocks.1.ln_1.bias"]
    state["score_predictor.weight"] = torch.zeros(1)
    state["visual.proj"] = torch.zeros(2, 2)
    torch.save({"state_dict": state}, tmp_path / "hps.pt")
    with pytest.raises(WeightsError) as caught:
        tiny(weights=tmp_path / "hps.pt")
    for name in ("resblocks.1.ln_1.bias", "score_predictor.weight", "visual.proj (2, 2)"):
        assert name in str(caught.value)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hps.pt"
    torch.save({"state_dict": published_state(tiny())}, path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(WeightsError, match="not an intact file"):
        tiny(weights=path)


@pytest.mark.parametrize(
    ("options", "file"),
    [({}, "HPS_v2.1_compressed.pt"), ({"version": "v2.0"}, "HPS_v2_compressed.pt")],
)
def test_without_anything_given_the_weights_of_the_version_are_fetched_first(
    options: dict[str, Any], file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(published: Published) -> Path:
        raise WeightsError(published.file)

    monkeypatch.setattr("beholder.rewards.hps.fetch", fetch)
    monkeypatch.setattr("beholder.rewards.hps.build_towers", None)
    with pytest.raises(WeightsError) as caught:
        beholder.load("hps", **options)
    assert str(caught.value) == file


def test_the_card_follows_the_version_and_survives_saving(tmp_path: Path) -> None:
    old = tiny(version="v2.0", resampling="pillow")
    assert old.card.accuracy[0].percent == 83.3
    assert tiny().card.accuracy[0].percent == 84.1
    assert PUBLISHED["v2.0"].file in old.card.weights
    old.save_pretrained(tmp_path)
    again = beholder.load(str(tmp_path))
    assert again.options() == old.options()
    assert again.card == old.card


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"v2\.0 or v2\.1, got 'v3'"):
        tiny(version="v3")
    with pytest.raises(ConfigError, match="resampling of hps is one of pillow"):
        tiny(resampling="nearest")
    with pytest.raises(ConfigError, match="depth"):
        tiny(config={"vision_cfg": {"depth": 3}})


def test_a_file_is_recognised_by_its_keys() -> None:
    state = published_state(tiny())
    assert recognises(shapes_of(state))
    assert not recognises(shapes_of(state) | {"cross_model.weight": (1,)})
    assert not recognises({key: (1,) for key in published_keys() if key != "text_projection"})


def test_the_published_sizes_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        whole = build_towers(VIT_H_14)
    assert sum(p.numel() for p in whole.parameters()) == 986_109_441


def test_a_new_one_starts_from_towers_and_keeps_the_preparation_of_pictures() -> None:
    fitting: Any = beholder.load("hps", towers=OPEN_CLIP).fitting
    assert (fitting.fit, fitting.resampling) == ("pad", "antialiased")
    with pytest.raises(ConfigError, match="either towers or weights, not both"):
        beholder.load("hps", towers=OPEN_CLIP, weights="some.pt")
