"""What the servers serve: a small CLIP, and a reward as fast as a GPU that computes nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor
from typing_extensions import override

from beholder.rewards import Reward, RewardCard, pickscore
from beholder.types import Scores
from benchmarks._pixel_mean import PixelMean

LAYERS, WIDTH = 12, 64
CALL_SECONDS, PICTURE_SECONDS = 0.020, 0.0005
_STRIDE = 16


def clip() -> Reward:
    """A CLIP as deep as ViT-B/32 and a twelfth as wide; the same weights in every process."""
    tower: dict[str, Any] = {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
    }
    vision = {**tower, "patch_size": 32, "image_size": 224}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return pickscore.build(config={"text": tower, "vision": vision, "projection_dim": WIDTH})


@final
class Gpu(PixelMean):
    """The mean of some pixels, after 20 ms and half a millisecond a picture in which it waits."""

    card = RewardCard(name="gpu", paper="none", needs_prompt=False)

    @override
    def preprocess(self, pixels: Tensor) -> Tensor:
        seen = pixels[..., ::_STRIDE, ::_STRIDE]
        return seen / 255 if pixels.dtype == torch.uint8 else seen

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        time.sleep(CALL_SECONDS + PICTURE_SECONDS * len(pixel_values))
        return super().score_prepared(pixel_values, prompts)
