"""Rewards that a worker process can load as module:Class."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor
from typing_extensions import override

from beholder.rewards import Reward, RewardCard
from beholder.types import Scores


@final
class Light(Reward):
    """Mean pixel and mean red in [0, 1]; a white picture kills the process, a black one delays."""

    card: ClassVar[RewardCard] = RewardCard(
        name="light", paper="none", aspects=("red",), needs_prompt=False
    )

    def __init__(self, seconds: float = 0.0, black_seconds: float = 0.0) -> None:
        super().__init__()
        self._seconds, self._black_seconds = seconds, black_seconds

    @override
    def preprocess(self, pixels: Tensor) -> Tensor:
        scale = 255 if pixels.dtype == torch.uint8 else 1
        return torch.nn.functional.interpolate(pixels.float() / scale, size=(1, 1), mode="area")

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        time.sleep(self._seconds)
        light = pixel_values.mean((1, 2, 3))
        if (light == 1).any():
            os.kill(os.getpid(), signal.SIGKILL)
        if (light == 0).any():
            time.sleep(self._black_seconds)
        return Scores(light, {"red": pixel_values[:, 0].mean((1, 2))})

    @override
    def options(self) -> dict[str, object]:
        return {"seconds": self._seconds, "black_seconds": self._black_seconds}

    @classmethod
    @override
    def from_options(cls, options: Mapping[str, object]) -> Reward:
        return cls(**options)  # type: ignore[arg-type]
