from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

import beholder
from beholder._published.weights import Published
from beholder.errors import ConfigError, WeightsError
from beholder.rewards._towers import build_towers
from beholder.rewards._towers.clip import CLIP_H, clip_tokenizer
from beholder.rewards.pickscore import own_name, recognises
from tests.rewards.contract import check_reward, smooth_pictures
from tests.rewards.tinies.pickscore import published_keys, published_state, tiny
from tests.rewards.tiny_towers import CLIP

PROMPTS = ["a red cat", "", "two dogs, oil painting", "a cat " * 60]


def shapes_of(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


def published_scores(state: dict[str, Tensor], pictures: Tensor, prompts: list[str]) -> Tensor:
    """As the card of PickScore_v1 does it, with transformers alone."""
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    config = CLIPConfig(
        text_config={**CLIP["text"], "eos_token_id": 2},
        vision_config=CLIP["vision"],
        projection_dim=CLIP["projection_dim"],
    )
    model: Any = CLIPModel(config).eval()
    model.load_state_dict({k: v for k, v in state.items() if not k.endswith("position_ids")})
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32)
    shown = [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in pictures]
    texts = clip_tokenizer()(
        prompts, padding=True, truncation=True, max_length=77, return_tensors="pt"
    )
    with torch.no_grad():
        values = processor(shown, return_tensors="pt")["pixel_values"]
        image = model.get_image_features(pixel_values=values).pooler_output
        text = model.get_text_features(**texts).pooler_output
        image, text = (x / x.norm(dim=-1, keepdim=True) for x in (image, text))
        scores: Tensor = model.logit_scale.exp() * (text @ image.T).diagonal()
    return scores


def test_contract() -> None:
    check_reward(tiny())


def test_scores_are_those_of_the_published_code_on_transformers() -> None:
    reward = tiny()
    pictures = smooth_pictures(4, 90, 61)
    expected = published_scores(published_state(reward), pictures, PROMPTS)
    error = (reward.score(pictures, PROMPTS).total - expected).abs().max().item()
    (parity,) = reward.card.parity
    assert error <= parity.error
    assert expected.std().item() == pytest.approx(parity.spread, rel=0.05)


def test_from_the_same_values_the_scores_are_equal() -> None:
    reward = tiny()
    model: Any = reward.towers.model
    values, ids = torch.randn(4, 3, 32, 32), reward.towers.tokenize(PROMPTS)
    logits = model(pixel_values=values, input_ids=ids).logits_per_image
    torch.testing.assert_close(reward.forward_features(values, ids), logits.diagonal())
    torch.testing.assert_close(reward.score_prepared(values, PROMPTS).total, logits.diagonal())


def test_the_softmax_over_the_pictures_of_a_prompt_is_the_probability_of_the_paper() -> None:
    reward = tiny()
    model: Any = reward.towers.model
    values = torch.randn(3, 3, 32, 32)
    logits = model(pixel_values=values, input_ids=reward.towers.tokenize(["a cat"]))
    expected = logits.logits_per_text.softmax(dim=1)[0]
    total = reward.score_prepared(values, ["a cat"] * 3).total
    torch.testing.assert_close(total.softmax(dim=0), expected)


@pytest.mark.parametrize("prefix", ["", "model.", "module."])
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_published_files_load(prefix: str, suffix: str, tmp_path: Path) -> None:
    reward = tiny()
    state = {prefix + key: value for key, value in published_state(reward).items()}
    assert {own_name(key) for key in state} - {None} == set(reward.state_dict())
    path = tmp_path / f"model{suffix}"
    if suffix == ".bin":
        torch.save(state, path)
    else:
        save_file(state, path)
    loaded = beholder.load("pickscore", weights=path, config=CLIP)
    pixels = torch.rand(2, 3, 40, 33)
    assert torch.equal(loaded.score(pixels, "a").total, reward.score(pixels, "a").total)


def test_keys_that_are_missing_unexpected_or_misshapen_are_named(tmp_path: Path) -> None:
    state = published_state(tiny())
    del state["text_model.encoder.layers.1.mlp.fc1.bias"]
    state["logit_bias"] = torch.zeros(1)
    state["visual_projection.weight"] = torch.zeros(2, 2)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError) as caught:
        tiny(weights=tmp_path / "model.safetensors")
    for name in ("layers.1.mlp.fc1.bias", "logit_bias", "visual_projection.weight (2, 2)"):
        assert name in str(caught.value)


def test_without_anything_given_the_published_weights_are_fetched_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fetch(published: Published) -> Path:
        raise WeightsError(f"{published.repo}/{published.file}")

    monkeypatch.setattr("beholder.rewards.pickscore.fetch", fetch)
    monkeypatch.setattr("beholder.rewards.pickscore.build_towers", None)
    with pytest.raises(WeightsError) as caught:
        beholder.load("pickscore")
    assert str(caught.value) == "yuvalkirstain/PickScore_v1/model.safetensors"


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="has no option 'depth'"):
        tiny(config={"depth": 3})


def test_a_file_is_recognised_by_its_keys() -> None:
    state = published_state(tiny())
    assert recognises(shapes_of(state))
    assert recognises({f"model.{key}": (1,) for key in published_keys()})
    assert not recognises(shapes_of(state) | {"cross_model.weight": (1,)})
    assert not recognises({key: (1,) for key in published_keys() if key != "logit_scale"})


def test_the_published_sizes_are_those_of_the_paper() -> None:
    with torch.device("meta"):
        whole = build_towers({"kind": "clip", **CLIP_H})
    assert sum(p.numel() for p in whole.parameters()) == 986_109_441


def test_a_new_one_starts_from_towers_of_any_kind() -> None:
    towers = {"kind": "clip", **CLIP}
    reward = beholder.load("pickscore", towers=towers)
    assert reward.options()["towers"]["kind"] == "clip"  # type: ignore[index]
    with pytest.raises(ConfigError, match="either towers or config, not both"):
        beholder.load("pickscore", towers=towers, config={})
