from importlib import import_module
from typing import Any

import pytest
import torch
from torch.nn import functional

from beholder.rewards._cosine import CosineReward
from beholder.rewards._towers import Features, build_towers
from beholder.rewards._towers.clip import CLIP_H
from beholder.rewards.pickscore import PickScore
from beholder.training.towers.freezing import tower_weights
from tests.rewards import tiny_towers
from tests.rewards.tinies.clipscore import tiny
from tests.rewards.tinies.siglip import CONFIG as SIGLIP
from tests.rewards.towers.test_pooled import RESNET

TEXTS = ["a cat", "a cat", "a red cube", ""]
TRUNK = {
    "vision_cfg": {"timm_model_name": "convnext_atto", "image_size": 64},
    "text_cfg": {"layers": 2, "width": 32, "heads": 2},
}
TOWERS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "clip": (
        {"kind": "clip", **tiny_towers.CLIP},
        {f"model.{name}" for name in ("visual_projection.weight", "text_projection.weight")},
    ),
    "open_clip": (tiny_towers.OPEN_CLIP, {"model.visual.proj", "model.text_projection"}),
    "timm trunk": (
        {**tiny_towers.OPEN_CLIP, "overrides": {"embed_dim": 32, **TRUNK}},
        {"model.visual.head.proj.weight", "model.text_projection"},
    ),
    "resnet": (RESNET, {"model.text_projection"}),
    "siglip": (
        {"kind": "siglip", **SIGLIP, "tokenizer": tiny_towers.word_tokenizer()},
        {"model.text_model.head.weight", "model.text_model.head.bias", "model.logit_bias"},
    ),
    "timm_text": (
        tiny_towers.timm_text(),
        {"image_projection.weight", "text_projection.weight", "position"},
    ),
}
"""Towers, and what is in a cosine reward's head beside the scale."""


def on(kind: str) -> PickScore:
    torch.manual_seed(0)
    reward = PickScore(build_towers(TOWERS[kind][0]))
    return reward.eval()


@torch.no_grad()
def test_scores_of_prepared_inputs_are_those_of_the_doors() -> None:
    reward = tiny()
    values = torch.randn(4, 3, 64, 64)
    ids = reward.towers.tokenize([reward.prefix + text for text in TEXTS])
    torch.testing.assert_close(
        reward.forward_features(values, ids), reward.score_prepared(values, TEXTS).total
    )
    image = reward.towers.encode_image(values).pooled
    text = reward.towers.encode_text(ids).pooled
    cosine = functional.cosine_similarity(image, text)
    torch.testing.assert_close(reward.forward_features(values, ids), reward.from_cosine(cosine))


def test_prompts_are_encoded_once_even_between_calls() -> None:
    reward = tiny()
    counted: list[int] = []
    encode = reward.towers.pooled_text_backbone

    def counting(texts: Any) -> Features:
        counted.append(len(texts))
        return encode(texts)

    reward.towers.pooled_text_backbone = counting  # type: ignore[method-assign]
    pictures = torch.rand(4, 3, 64, 64)
    first = reward.score(pictures, TEXTS, batch_size=2).total
    again = reward.score(pictures, TEXTS).total
    assert counted == [1, 2]
    torch.testing.assert_close(again, first)


def test_a_picture_is_encoded_once_for_all_its_prompts() -> None:
    reward = tiny()
    rows: list[int] = []
    encode = reward.towers.pooled_image

    def counting(pixel_values: torch.Tensor) -> torch.Tensor:
        rows.append(len(pixel_values))
        return encode(pixel_values)

    reward.towers.pooled_image = counting  # type: ignore[method-assign]
    picture = torch.rand(3, 64, 64)
    scores = reward.score([picture] * 3, ["a cat", "a dog", "a cube"]).total
    assert rows == [1]
    alone = [reward.score([picture], [text]).total for text in ("a cat", "a dog", "a cube")]
    torch.testing.assert_close(scores, torch.cat(alone), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_prompt_features_are_what_pictures_are_compared_with() -> None:
    reward = tiny()
    values = torch.randn(4, 3, 64, 64)
    features = reward.prompt_features(TEXTS)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(features[0], features[1])
    cosine = functional.cosine_similarity(reward.encode(values), features)
    torch.testing.assert_close(
        reward.from_cosine(cosine), reward.score_prepared(values, TEXTS).total
    )
    (prefixed,) = reward.towers.pooled_text([reward.prefix + "a red cube"])
    torch.testing.assert_close(features[2], functional.normalize(prefixed, dim=0))


def same_from_features(reward: CosineReward) -> None:
    size = reward.towers.preprocess.size
    values = torch.randn(4, 3, size, size)
    images, texts = reward.image_backbone(values), reward.text_backbone(TEXTS)
    assert images.tokens.shape[:2] == texts.tokens.shape[:2] == (4, 0)
    scores = reward.score_features(images, texts).total
    expected = reward.score_encoded(reward.encode(values), TEXTS).total
    torch.testing.assert_close(scores, expected, atol=1e-6, rtol=1e-6)
    assert expected.std() > 0
    embedded = reward.embeddings(images, texts)
    cosine = (embedded.images * embedded.texts).sum(dim=1)
    torch.testing.assert_close(reward.from_cosine(cosine), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(embedded.images.norm(dim=1), torch.ones(4))
    assert embedded.logit_scale == reward.towers.logit_scale


@pytest.mark.parametrize("name", ["clipscore", "hps", "pickscore", "siglip"])
@torch.no_grad()
def test_kept_states_score_as_the_pictures_do_in_every_cosine_reward(name: str) -> None:
    reward: CosineReward = import_module(f"tests.rewards.tinies.{name}").tiny()
    same_from_features(reward.eval())


@pytest.mark.parametrize("kind", TOWERS)
@torch.no_grad()
def test_kept_states_score_as_the_pictures_do_on_all_towers(kind: str) -> None:
    same_from_features(on(kind))


@pytest.mark.parametrize("kind", TOWERS)
def test_the_head_is_what_carries_pooled_states_into_the_shared_space(kind: str) -> None:
    reward = on(kind)
    head = {name for name, _ in reward.named_parameters()}.difference(*tower_weights(reward))
    scale = {n for n in head if "scale" in n}
    assert head - scale == {f"towers.{name}" for name in TOWERS[kind][1]}
    assert len(scale) == 1


def test_pickscore_learns_what_the_scale_and_the_projections_can() -> None:
    """The slope of the score in log scale is the score itself: s = exp(t) cos."""
    reward = on("clip")
    values = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        images, texts = reward.image_backbone(values), reward.text_backbone(["a cat", "a cube"])
    total = reward.score_features(images, texts).total.sum()
    total.backward()
    model: Any = reward.towers.model
    assert model.logit_scale.grad.item() == pytest.approx(total.item(), rel=1e-4)
    assert model.visual_projection.weight.grad.abs().sum() > 0
    assert model.text_projection.weight.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in model.vision_model.parameters())


@torch.no_grad()
def test_kept_states_of_a_picture_are_1280_numbers_at_the_size_of_vit_h() -> None:
    with torch.device("meta"):
        towers = build_towers({"kind": "clip", **CLIP_H})
        states = PickScore(towers).image_backbone(torch.zeros(1, 3, 224, 224))
    assert (states.pooled.numel(), states.tokens.numel()) == (1280, 0)
