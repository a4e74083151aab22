from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from beholder.rewards._towers import build_towers
from beholder.rewards._towers._pooled import in_buckets, knows_image, knows_text
from tests.rewards import tiny_towers

TEXTS = ["", "a cat", "a red cube and two dogs " * 3, "a cat", "the light of " * 60]
RESNET = {
    "kind": "open_clip",
    "name": "RN50",
    "overrides": {
        "embed_dim": 32,
        "vision_cfg": {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64},
        "text_cfg": {"layers": 2, "width": 32, "heads": 2},
    },
}
QUICK = {**tiny_towers.OPEN_CLIP, "name": "ViT-B-32-quickgelu"}


@pytest.mark.parametrize(
    "options",
    [{"kind": "clip", **tiny_towers.CLIP}, tiny_towers.OPEN_CLIP, QUICK, RESNET],
    ids=["clip", "open_clip", "quickgelu", "resnet"],
)
@torch.no_grad()
def test_pooled_states_are_those_of_the_whole_encoders(options: dict[str, object]) -> None:
    towers = build_towers(options).eval()
    size = towers.preprocess.size
    values = torch.randn(3, 3, size, size)
    whole = towers.encode_image(values).pooled
    before, bare = towers.image_backbone(values), towers.pooled_image_backbone(values)
    torch.testing.assert_close(bare.pooled, before.pooled, atol=1e-5, rtol=1e-5)
    assert bare.tokens.shape == (3, 0, before.tokens.shape[2])
    torch.testing.assert_close(towers.pooled_image(values), whole, atol=1e-5, rtol=1e-5)
    texts = towers.encode_text(towers.tokenize(TEXTS)).pooled
    torch.testing.assert_close(towers.pooled_text(TEXTS), texts, atol=1e-5, rtol=1e-5)


def test_gradients_pass_the_pooled_states_as_they_pass_the_whole_encoder() -> None:
    for options in ({"kind": "clip", **tiny_towers.CLIP}, tiny_towers.OPEN_CLIP):
        towers = build_towers(options).eval()
        size = towers.preprocess.size
        values = torch.randn(2, 3, size, size, requires_grad=True)
        (short,) = torch.autograd.grad(towers.pooled_image(values).square().sum(), values)
        (whole,) = torch.autograd.grad(towers.encode_image(values).pooled.square().sum(), values)
        torch.testing.assert_close(short, whole, atol=1e-5, rtol=1e-4)


def instead(calls: list[int], whole: Callable[..., Any], *given: Any) -> Any:
    calls.append(1)
    return whole(*given)


@pytest.mark.parametrize("kind", ["clip", "open_clip"])
@pytest.mark.parametrize("watched", ["before", "after", "instead"])
def test_a_last_block_that_somebody_watches_is_called_as_a_whole(kind: str, watched: str) -> None:
    options = {"clip": {"kind": "clip", **tiny_towers.CLIP}, "open_clip": tiny_towers.OPEN_CLIP}
    towers: Any = build_towers(options[kind]).eval()
    size = towers.preprocess.size
    values = torch.randn(2, 3, size, size)
    model = towers.model
    blocks = (
        model.vision_model.encoder.layers if kind == "clip" else model.visual.transformer.resblocks
    )
    with torch.no_grad():
        expected = towers.pooled_image(values)
        calls: list[int] = []
        whole = blocks[-1].forward
        if watched == "before":
            blocks[-1].register_forward_pre_hook(lambda *_: calls.append(1))
        elif watched == "after":
            blocks[-1].register_forward_hook(lambda *_: calls.append(1))
        else:
            blocks[-1].forward = partial(instead, calls, whole)
        torch.testing.assert_close(towers.pooled_image(values), expected, atol=1e-5, rtol=1e-5)
    assert calls == [1]


def test_each_bucket_is_as_long_as_its_texts_need() -> None:
    ids = torch.tensor([[1, 9] + [0] * 30, [1] * 20 + [9] + [0] * 11, [1, 2, 9] + [0] * 29])
    seen: list[tuple[int, ...]] = []

    def encode(part: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(part.shape))
        return part.sum(dim=1, keepdim=True).float()

    assert in_buckets(ids, encode).flatten().tolist() == ids.sum(dim=1).tolist()
    assert seen == [(2, 8), (1, 24)]


def test_other_towers_are_left_to_the_whole_encoder() -> None:
    model: Any = build_towers(RESNET).model
    assert not knows_image(model.visual)
    assert knows_text(model)
    plain: Any = build_towers(tiny_towers.OPEN_CLIP).model
    assert knows_image(plain.visual)
    siglip = {
        "kind": "open_clip",
        "name": "ViT-B-32",
        "overrides": {
            **tiny_towers.OPEN_CLIP_SIZES,
            "custom_text": True,
            "text_cfg": {
                "layers": 2,
                "width": 32,
                "heads": 2,
                "no_causal_mask": True,
                "pool_type": "last",
            },
        },
    }
    assert not knows_text(build_towers(siglip).model)
