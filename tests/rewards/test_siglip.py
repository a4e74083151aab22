import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

import beholder
from beholder._published.weights import Published
from beholder.errors import ConfigError, WeightsError
from beholder.rewards._towers.siglip import SiglipTowers
from beholder.rewards.siglip import SO400M, own_name, recognises
from tests.rewards.contract import check_reward, smooth_pictures
from tests.rewards.tinies.siglip import CONFIG, published_keys, published_state, tiny
from tests.rewards.tiny_towers import word_tokenizer

PROMPTS = ["a red cat", "", "two dogs, light!", "the number of quantity"]


def shapes_of(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


def published_logits(state: dict[str, Tensor], pictures: Tensor, ids: Tensor) -> Tensor:
    """With transformers alone."""
    from transformers import SiglipConfig, SiglipModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    text = {**CONFIG["text"], "projection_size": 32, "bos_token_id": 2, "eos_token_id": 3}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=CONFIG["vision"])).eval()
    model.load_state_dict(state)
    processor = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    shown = [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in pictures]
    with torch.no_grad():
        values = processor(shown, return_tensors="pt")["pixel_values"]
        logits: Tensor = model(pixel_values=values, input_ids=ids).logits_per_image
    return logits.diagonal()


@pytest.mark.parametrize("protocol", ["probability", "logit", "cosine"])
def test_contract(protocol: str) -> None:
    check_reward(tiny(protocol=protocol))


def test_scores_are_those_of_transformers() -> None:
    reward = tiny(protocol="logit")
    pictures = smooth_pictures(4, 90, 61)
    ids = reward.towers.tokenize(PROMPTS)
    expected = published_logits(published_state(reward), pictures, ids)
    error = (reward.score(pictures, PROMPTS).total - expected).abs().max().item()
    (parity,) = reward.card.parity
    assert error <= parity.error
    assert expected.std().item() == pytest.approx(parity.spread, rel=0.05)
    probability = tiny().score(pictures, PROMPTS).total
    assert (probability - expected.sigmoid()).abs().max() <= parity.error


def test_each_protocol_is_a_step_of_the_papers_formula() -> None:
    values = torch.randn(4, 3, 32, 32)
    scores = {
        protocol: tiny(protocol=protocol).score_prepared(values, PROMPTS).total
        for protocol in ("cosine", "logit", "probability")
    }
    torch.testing.assert_close(scores["logit"], math.exp(2) * scores["cosine"] - 1)
    torch.testing.assert_close(scores["probability"], 1 / (1 + torch.exp(-scores["logit"])))
    ids = tiny().towers.tokenize(PROMPTS)
    torch.testing.assert_close(tiny().forward_features(values, ids), scores["probability"])


def test_padding_takes_part_as_it_did_in_training() -> None:
    reward = tiny()
    short, long = (reward.towers.tokenize(["a cat"])[:, :n] for n in (8, 16))
    values = torch.randn(1, 3, 32, 32)
    assert not torch.allclose(
        reward.forward_features(values, short), reward.forward_features(values, long)
    )


@pytest.mark.parametrize("prefix", ["", "model.", "module."])
def test_published_files_load(prefix: str, tmp_path: Path) -> None:
    reward = tiny()
    state = {prefix + key: value for key, value in published_state(reward).items()}
    own = {name for name in reward.state_dict() if not name.endswith("_extra_state")}
    assert {own_name(key) for key in state} == own
    state[f"{prefix}text_model.embeddings.position_ids"] = torch.arange(16)[None]
    pixels = torch.rand(2, 3, 40, 33)
    for save, name in ((torch.save, "model.bin"), (save_file, "model.safetensors")):
        save(state, tmp_path / name)
        loaded = tiny(weights=tmp_path / name)
        assert torch.equal(loaded.score(pixels, "a").total, reward.score(pixels, "a").total)


def test_keys_that_are_missing_unexpected_or_misshapen_are_named(tmp_path: Path) -> None:
    state = published_state(tiny())
    del state["vision_model.head.probe"]
    state["head.weight"] = torch.zeros(1)
    state["text_model.head.bias"] = torch.zeros(2)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError) as caught:
        tiny(weights=tmp_path / "model.safetensors")
    for name in ("vision_model.head.probe", "head.weight", "text_model.head.bias (2,)"):
        assert name in str(caught.value)


def test_weights_then_tokenizer_are_fetched_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def fetch(published: Published, option: str = "weights") -> Path:
        asked.append(published.file)
        if published.file == "tokenizer.json":
            raise WeightsError("no tokenizer")
        return Path("model.safetensors")

    monkeypatch.setattr("beholder.rewards.siglip.fetch", fetch)
    monkeypatch.setattr(SiglipTowers, "from_options", None)
    with pytest.raises(WeightsError, match="no tokenizer"):
        beholder.load("siglip")
    assert asked == ["model.safetensors", "tokenizer.json"]


def test_a_saved_reward_brings_its_tokenizer(tmp_path: Path) -> None:
    reward = tiny(protocol="logit")
    reward.save_pretrained(tmp_path)
    again = beholder.load(str(tmp_path))
    assert again.options() == reward.options()
    assert again.card.score_range == (-math.inf, math.inf)
    pixels = torch.rand(1, 3, 32, 32)
    assert torch.equal(again.score(pixels, "a cat").total, reward.score(pixels, "a cat").total)
    assert beholder.load(str(tmp_path), protocol="cosine").card.score_range == (-1, 1)


def test_the_tokenizer_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(word_tokenizer(), encoding="utf-8")
    pixels = torch.rand(1, 3, 32, 32)
    found = tiny(tokenizer=path).score(pixels, "a cat").total
    assert torch.equal(found, tiny().score(pixels, "a cat").total)
    with pytest.raises(WeightsError, match="cannot read the tokenizer"):
        tiny(tokenizer=tmp_path / "none.json")


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="probability, logit, cosine; got 'clip'"):
        tiny(protocol="clip")
    with pytest.raises(ConfigError, match="has no option 'depth'"):
        tiny(config={"depth": 3})


def test_a_file_is_recognised_by_its_keys() -> None:
    state = published_state(tiny())
    assert recognises(shapes_of(state))
    assert not recognises(shapes_of(state) | {"scoring_head.0.weight": (1,)})
    assert not recognises({key: (1,) for key in published_keys() if key != "logit_bias"})


def test_the_published_sizes_are_those_of_so400m() -> None:
    from transformers import SiglipVisionConfig

    text = {**SO400M["text"], "projection_size": 1152}
    with torch.device("meta"):
        whole = SiglipTowers(text, SO400M["vision"])
    assert sum(p.numel() for p in whole.parameters()) == pytest.approx(878e6, rel=1e-3)
    assert SiglipVisionConfig().hidden_act == "gelu_pytorch_tanh"
    assert (whole.length, whole.preprocess.size) == (64, 384)
