from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import beholder
from beholder._published.weights import Published
from beholder.errors import ConfigError, WeightsError
from beholder.rewards import blipscore
from beholder.rewards.blipscore import BLIPScore, own_name, recognises
from tests.rewards._blip.published import fill, own_scores, published_scores
from tests.rewards._blip.small import SIZES, VOCABULARY
from tests.rewards.contract import check_reward
from tests.rewards.tinies import imagereward
from tests.rewards.tinies.blipscore import CONFIG, published_state, tiny

PROMPTS = ["a cat", "two red cubes, a dog", "", "[ENC] a light"]


def transformers_model(reward: BLIPScore) -> Any:
    """transformers' own class on the same weights, which has them under its own names."""
    from transformers import BlipConfig, BlipForImageTextRetrieval

    config = BlipConfig(
        text_config=reward.blip.text.config.to_dict(),
        vision_config=reward.blip.vision.config.to_dict(),
        image_text_hidden_size=20,
    )
    model = BlipForImageTextRetrieval(config).eval()
    own = reward.state_dict()
    names = {"vision_model": "blip.vision", "text_encoder": "blip.text"}

    def value(key: str) -> object:
        part, _, rest = key.partition(".")
        return own[f"{names.get(part, part)}.{rest}"]

    model.load_state_dict({key: value(key) for key in model.state_dict()})
    return model


@pytest.mark.parametrize("mode", ["itc", "itm"])
@pytest.mark.parametrize("fit", ["squash", "crop"])
def test_contract(mode: str, fit: str) -> None:
    check_reward(tiny(mode=mode, fit=fit))


def test_cosines_are_those_of_the_published_package(tmp_path: Path) -> None:
    state = fill(published_state(tiny(config={**SIZES, "projection_dim": 256})))
    checkpoint = {
        "model": state,
        "optimizer": {"state": {}},
        "config": {"vit": "large"},
        "epoch": 19,
    }
    torch.save(checkpoint, tmp_path / "model_large.pth")
    reward = beholder.load(
        "blipscore",
        weights=tmp_path / "model_large.pth",
        config=SIZES,
        fit="crop",
        tokenizer=VOCABULARY,
    )
    expected = published_scores("blipscore")
    assert expected.std() > 0.01
    exact = own_scores(reward, fitted=True)
    torch.testing.assert_close(exact, expected, atol=1e-06, rtol=0)
    # the resize differs by one grey level on less than 1 % of values
    torch.testing.assert_close(own_scores(reward), expected, atol=0.0001, rtol=0)


@pytest.mark.parametrize("mode", ["itc", "itm"])
def test_prepared_inputs_score_as_in_transformers(mode: str) -> None:
    reward, values = tiny(mode=mode), torch.randn(4, 3, 32, 32)
    ids, real = reward.tokenizer(PROMPTS)
    with torch.no_grad():
        found = transformers_model(reward)(
            input_ids=ids,
            pixel_values=values,
            attention_mask=real.long(),
            use_itm_head=mode == "itm",
        ).itm_score
        expected = found.diagonal() if mode == "itc" else found.softmax(dim=-1)[:, 1]
        scores = reward.forward_features(values, ids, real.long())
    assert expected.std() > 0.02
    torch.testing.assert_close(scores, expected, atol=1e-6, rtol=0)


def test_itm_puts_the_encoder_token_first() -> None:
    reward, values = tiny(mode="itm"), torch.randn(4, 3, 32, 32)
    ids, real = reward.tokenizer(PROMPTS)
    with torch.no_grad():
        scores = reward.score_prepared(values, PROMPTS).total
        with_cls = reward.forward_features(values, ids, real)
        ids[:, 0] = SIZES["text"]["vocab_size"] - 1
        with_enc = reward.forward_features(values, ids, real)
    torch.testing.assert_close(scores, with_enc)
    assert not torch.allclose(scores, with_cls, atol=1e-4)


@pytest.mark.parametrize(("mode", "low"), [("itc", -1), ("itm", 0)])
def test_the_card_has_the_range_of_the_mode(mode: str, low: float) -> None:
    assert tiny(mode=mode).card.score_range == (low, 1)


def test_texts_of_cosines_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reward, pixels = tiny(), torch.rand(2, 3, 32, 32)
    first = reward.score(pixels, "a cat").total
    monkeypatch.setattr(reward.blip, "read", None)
    assert torch.equal(reward.score(pixels, "a cat").total, first)


def test_transformers_names_load_too(tmp_path: Path) -> None:
    reward = tiny()
    save_file(transformers_model(reward).state_dict(), tmp_path / "model.safetensors")
    loaded = tiny(weights=tmp_path / "model.safetensors")
    pixels = torch.rand(2, 3, 40, 32)
    assert torch.equal(loaded.score(pixels, "a cat").total, reward.score(pixels, "a cat").total)


def test_the_sizes_of_the_picture_encoder_are_those_of_the_file(tmp_path: Path) -> None:
    vision = {**SIZES["vision"], "hidden_size": 128, "num_attention_heads": 2, "image_size": 48}
    reward = tiny(config={**CONFIG, "vision": vision})
    save_file(published_state(reward), tmp_path / "w.safetensors")
    config = {"text": SIZES["text"], "projection_dim": 20}
    loaded = tiny(weights=tmp_path / "w.safetensors", config=config)
    assert loaded.options() == reward.options()


def test_keys_that_are_missing_or_unexpected_are_named(tmp_path: Path) -> None:
    state = published_state(tiny())
    del state["itm_head.bias"]
    state["mlp.weight"] = torch.zeros(1)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"missing: itm_head\.bias.*unexpected: mlp\.weight"):
        tiny(weights=tmp_path / "w.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="does not fit"):
        tiny(weights=tmp_path / "x.safetensors")


def test_nothing_given_fetches_before_it_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(published: Published) -> Path:
        raise WeightsError(f"offline: {published.repo}")

    monkeypatch.setattr(blipscore, "fetch", fetch)
    monkeypatch.setattr(blipscore, "BlipEncoders", None)
    with pytest.raises(WeightsError, match="offline: Salesforce/blip-itm-large-coco"):
        beholder.load("blipscore")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"mode": "itg"}, "mode of blipscore is one of itc, itm; got 'itg'"),
        ({"fit": "stretch"}, "fit of blipscore is one of crop, squash, pad; got 'stretch'"),
        ({"config": {**CONFIG, "projection_dim": 0}}, "projection_dim.*got 0"),
        ({"config": {**CONFIG, "mlp": 1}}, "'mlp'"),
        ({"modes": "itc"}, "modes"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        tiny(**options)


def test_both_of_its_formats_are_recognised_and_no_other() -> None:
    reward = tiny()
    own = {k for k in reward.state_dict() if not k.endswith("_extra_state")}
    for state in (published_state(reward), transformers_model(reward).state_dict()):
        assert recognises({key: tuple(value.shape) for key, value in state.items()})
        assert {own_name(key) for key in state} - {None} == own
    other = imagereward.published_state(imagereward.tiny())
    assert not recognises({key: tuple(value.shape) for key, value in other.items()})
