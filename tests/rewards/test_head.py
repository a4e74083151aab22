from math import exp, log1p
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import beholder
from beholder.errors import ConfigError
from beholder.rewards import head
from beholder.rewards._towers import Features, Towers, build_towers
from beholder.rewards.head import LEAST_DEVIATION, Head
from beholder.training.towers.freezing import tower_weights
from tests.rewards.contract import check_reward
from tests.rewards.tinies.head import ASPECTS, tiny
from tests.rewards.tiny_towers import CLIP, OPEN_CLIP, timm_text

PROMPTS = ["a cat", "a cat", "a red cube", ""]
TOWERS = {"clip": {"kind": "clip", **CLIP}, "open_clip": OPEN_CLIP, "timm_text": timm_text()}
VARIANTS: dict[str, dict[str, Any]] = {
    "prompt": {},
    "picture": {"prompt": False},
    "uncertain": {"uncertainty": True},
    "linear": {"widths": ()},
    "deep": {"widths": (24, 16), "total": "detail"},
}


def pictures(count: int = 4) -> torch.Tensor:
    return torch.rand(count, 3, 64, 48, generator=torch.Generator().manual_seed(0))


def first_layer(reward: Head) -> nn.Linear:
    layer = reward.net[0]
    assert isinstance(layer, nn.Linear)
    return layer


@pytest.mark.parametrize("variant", VARIANTS)
def test_contract(variant: str) -> None:
    check_reward(tiny(**VARIANTS[variant]))


@pytest.mark.parametrize("kind", TOWERS)
@torch.no_grad()
def test_the_net_reads_unit_vectors_of_the_shared_space_and_their_product(kind: str) -> None:
    reward = tiny(towers=TOWERS[kind], widths=())
    towers, dim = reward.towers, reward.towers.dim
    values = reward.preprocess(pictures())
    p = functional.normalize(towers.encode_image(values).pooled, dim=1)
    t = functional.normalize(towers.encode_text(towers.tokenize(PROMPTS)).pooled, dim=1)
    (layer,) = reward.net
    assert isinstance(layer, nn.Linear)
    parts = layer.weight.split(dim, dim=1)
    expected = layer.bias + dim**0.5 * (p @ parts[0].T + t @ parts[1].T)
    expected = expected + dim * (p * t) @ parts[2].T
    scores = reward.score_prepared(values, PROMPTS)
    torch.testing.assert_close(scores.aspects["overall"], expected[:, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scores.aspects["detail"], expected[:, 1], atol=1e-4, rtol=1e-4)
    assert torch.equal(scores.total, scores.aspects["overall"])


def test_another_aspect_may_be_the_total() -> None:
    scores = tiny(total="detail").score(pictures(), PROMPTS)
    assert torch.equal(scores.total, scores.aspects["detail"])
    assert not torch.equal(scores.total, scores.aspects["overall"])


def test_without_the_prompt_only_the_picture_counts() -> None:
    reward = tiny(prompt=False)
    assert not reward.card.needs_prompt
    assert first_layer(reward).in_features == 32
    scores = reward.score(pictures()).total
    assert torch.equal(scores, reward.score(pictures(), PROMPTS).total)
    assert tiny().score(pictures(), PROMPTS).total[0] != tiny().score(pictures()[:1], "a").total


def test_deviations_are_softplus_of_the_second_half_and_never_nothing() -> None:
    reward = tiny(uncertainty=True, widths=())
    plain = tiny()
    assert not plain.score(pictures(), PROMPTS).deviations
    with torch.no_grad():
        first_layer(reward).weight.zero_()
        first_layer(reward).bias.copy_(torch.tensor([1.0, 2.0, 0.5, -200.0]))
    scores = reward.score(pictures(), PROMPTS)
    assert scores.aspects["overall"].tolist() == [1.0] * 4
    assert scores.aspects["detail"].tolist() == [2.0] * 4
    sure = log1p(exp(0.5)) + LEAST_DEVIATION
    assert scores.deviations["overall"].tolist() == pytest.approx([sure] * 4)
    assert scores.deviations["detail"].tolist() == pytest.approx([LEAST_DEVIATION] * 4)


@pytest.mark.parametrize("prompt", [True, False])
def test_the_head_is_the_net_and_the_projections(prompt: bool) -> None:
    reward = tiny(prompt=prompt)
    image, text = tower_weights(reward)
    names = {name for name, weight in reward.named_parameters() if weight.requires_grad}
    assert "towers.model.logit_scale" not in names
    projections = {f"towers.model.{part}_projection.weight" for part in ("visual", "text")}
    net = {name for name in names if name.startswith("net.")}
    assert names - image - text == net | projections
    assert all("vision_model" in name for name in image)
    assert all("text_model" in name for name in text)


@pytest.mark.parametrize("prompt", [True, False])
def test_kept_states_score_as_the_pictures_do(prompt: bool) -> None:
    reward = tiny(prompt=prompt, uncertainty=True)
    values = reward.preprocess(pictures())
    images, texts = reward.image_backbone(values), reward.text_backbone(PROMPTS)
    assert images.tokens.shape == (4, 0, 40)
    assert texts.pooled.shape == (4, 32 if prompt else 0)
    kept, whole = reward.score_features(images, texts), reward.score_prepared(values, PROMPTS)
    assert torch.equal(kept.total, whole.total)
    assert torch.equal(kept.deviations["detail"], whole.deviations["detail"])


def test_texts_that_take_no_part_are_not_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    reward = tiny(prompt=False)
    encode = reward.towers.pooled_text_backbone
    seen: list[list[str]] = []

    def watched(texts: list[str]) -> Features:
        seen.append(texts)
        return encode(texts)

    monkeypatch.setattr(reward.towers, "pooled_text_backbone", watched)
    reward.score(pictures(), PROMPTS)
    reward.score(pictures(), ["another", "text", "each", "time"])
    assert seen == [[""]]


def test_steps_on_kept_states_learn_what_another_head_says_of_pictures_never_shown() -> None:
    teacher, reward = tiny(prompt=False, widths=()), tiny(prompt=False, widths=(), dropout=0.0)
    shown = torch.rand(120, 3, 32, 32, generator=seeded()) * torch.rand(120, 3, 1, 1)
    with torch.no_grad():
        first_layer(teacher).weight.normal_(generator=seeded())
        images = reward.image_backbone(reward.preprocess(shown))
        texts = reward.text_backbone([""] * 120)
        target = teacher.score_features(images, texts).total
    optimizer = torch.optim.Adam(reward.net.parameters(), lr=0.05)
    for _ in range(300):
        loss = functional.mse_loss(reward.score_features(images, texts).total[:80], target[:80])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found, expected = reward.score(shown[80:]).total, teacher.score(shown[80:]).total
    assert torch.corrcoef(torch.stack([found, expected]))[0, 1] > 0.95


def test_dropout_stands_behind_each_hidden_layer() -> None:
    rates = [part.p for part in tiny(widths=(24, 16), dropout=0.3).net if hasattr(part, "p")]
    assert rates == [0.3, 0.3]
    assert [type(part).__name__ for part in tiny(widths=(24,)).net] == [
        "Linear",
        "GELU",
        "Dropout",
        "Linear",
    ]


def test_it_is_saved_with_all_its_options(tmp_path: Path) -> None:
    reward = tiny(uncertainty=True, total="detail", widths=(8, 4), dropout=0.25, prompt=False)
    reward.save_pretrained(tmp_path)
    again = beholder.load(str(tmp_path))
    assert isinstance(again, Head)
    assert again.options() == reward.options()
    assert again.card.aspects == ASPECTS
    scores, expected = (each.score(pictures()) for each in (again, reward))
    assert torch.equal(scores.deviations["overall"], expected.deviations["overall"])


def test_without_towers_it_stands_on_siglip2(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    towers = build_towers(TOWERS["clip"])

    def built(options: object) -> Towers:
        asked.append(options)
        return towers

    monkeypatch.setattr(head, "build_towers", built)
    beholder.load("head")
    assert asked == [{"kind": "open_clip", "name": "ViT-B-16-SigLIP2", "pretrained": "webli"}]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"aspects": ()}, "one or more; got ()"),
        ({"aspects": "overall"}, "got 'overall'"),
        ({"aspects": ("overall", "overall")}, "distinct names"),
        ({"aspects": ("overall", "total")}, "other than 'total'"),
        ({"total": "charm"}, "one of its aspects"),
        ({"widths": (0,)}, "whole numbers above 0"),
        ({"dropout": 1.0}, r"lies in \[0, 1\)"),
        ({"depth": 2}, "no option 'depth'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        tiny(**options)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
