from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import beholder
from beholder.errors import ConfigError, WeightsError
from beholder.rewards.clipscore import CLIPScore
from tests.rewards import tiny_towers
from tests.rewards.contract import check_reward, smooth_pictures
from tests.rewards.tinies.clipscore import tiny


def cosines(reward: CLIPScore, pixel_values: Tensor, texts: list[str]) -> Tensor:
    model: Any = reward.towers.model
    image = functional.normalize(model.encode_image(pixel_values), dim=-1)
    text = functional.normalize(model.encode_text(reward.towers.tokenize(texts)), dim=-1)
    return (image * text).sum(dim=-1)


def test_contract() -> None:
    check_reward(tiny())


def test_contract_over_other_towers() -> None:
    torch.manual_seed(1)  # one whose cosines are positive
    towers = {"kind": "clip", **tiny_towers.CLIP}
    check_reward(beholder.load("clipscore", towers=towers, protocol="torchmetrics"))


@pytest.mark.parametrize(
    ("protocol", "weight", "prefix"),
    [("hessel", 2.5, "A photo depicts "), ("torchmetrics", 100, "")],
)
def test_each_protocol_weighs_and_prefixes_as_its_source(
    protocol: str, weight: float, prefix: str
) -> None:
    reward = tiny(protocol=protocol)
    values, prompts = torch.randn(8, 3, 64, 64), [f"{k} cats" for k in range(8)]
    cosine = cosines(reward, values, [prefix + prompt for prompt in prompts])
    expected = weight * cosine.clamp(min=0)
    torch.testing.assert_close(reward.score_prepared(values, prompts).total, expected)
    assert reward.card.score_range == (0, weight)


def test_every_negative_cosine_scores_zero() -> None:
    reward = tiny()
    values = torch.randn(4, 3, 64, 64)
    total = reward.score_prepared(values, ["a cat"] * 4).total
    model: Any = reward.towers.model
    with torch.no_grad():
        model.visual.proj.neg_()
    opposite = reward.score_prepared(values, ["a cat"] * 4).total
    assert ((total > 0) ^ (opposite > 0)).all()
    assert torch.equal(torch.minimum(total, opposite), torch.zeros(4))


def test_weights_come_from_a_local_file(tmp_path: Path) -> None:
    reward = tiny()
    torch.save(reward.towers.model.state_dict(), tmp_path / "vit.pt")  # type: ignore[union-attr]
    loaded = beholder.load(
        "clipscore", weights=tmp_path / "vit.pt", config=tiny_towers.OPEN_CLIP_SIZES
    )
    pixels = torch.rand(1, 3, 70, 64)
    assert torch.equal(loaded.score(pixels, "a").total, reward.score(pixels, "a").total)


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="protocol"):
        tiny(protocol="clip")
    with pytest.raises(ConfigError, match="not both"):
        beholder.load("clipscore", towers=tiny_towers.OPEN_CLIP, config={})
    with pytest.raises(ConfigError, match="neither a file nor a tag"):
        beholder.load("clipscore", weights=tmp_path / "none.pt")
    torch.save({"x": torch.zeros(1)}, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match="does not fit"):
        tiny(weights=tmp_path / "x.pt")


@torch.no_grad()
def test_scores_are_those_of_open_clip_with_its_own_pictures() -> None:
    from open_clip import get_tokenizer
    from open_clip.transform import image_transform
    from PIL import Image

    reward = tiny()
    (parity,) = reward.card.parity
    pictures, prompts = smooth_pictures(), [f"{k} red cats" for k in range(12)]
    fit = reward.towers.preprocess
    transform = image_transform(64, is_train=False, mean=fit.mean, std=fit.std)
    values = [transform(Image.fromarray(p.permute(1, 2, 0).numpy())) for p in pictures]
    model: Any = reward.towers.model
    image = model.encode_image(torch.stack(values), normalize=True)
    ids = get_tokenizer("ViT-B-32-quickgelu")(["A photo depicts " + p for p in prompts])
    expected = 2.5 * (image * model.encode_text(ids, normalize=True)).sum(dim=-1).clamp(min=0)
    total = reward.score(pictures, prompts).total
    assert (total - expected).abs().max() <= parity.error
    assert total.std().item() == pytest.approx(parity.spread, rel=0.1)
