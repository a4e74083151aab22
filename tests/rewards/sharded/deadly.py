"""A reward that ends its process at certain pictures, as a broken decoder or a full memory does."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import override

from beholder.rewards import Reward, RewardCard
from beholder.types import Scores

POISON = 13
"""Grey level of a picture that ends its process every time."""
ONCE = 14
"""Grey level of a picture that kills its process until the marker is there."""


class Deadly(Reward):
    """The mean of all values; `marker` is a file that says that ONCE has killed."""

    card = RewardCard(name="deadly", paper="none", needs_prompt=False)

    def __init__(self, marker: str) -> None:
        super().__init__()
        self.marker = marker

    @override
    def preprocess(self, pixels: Tensor) -> Tensor:
        return pixels / 255 if pixels.dtype == torch.uint8 else pixels

    @override
    def options(self) -> dict[str, object]:
        return {"marker": self.marker}

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Reward:
        return cls(str(options["marker"]))

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        means = pixel_values.mean((1, 2, 3))
        levels = set((means * 255).round().int().tolist())
        if POISON in levels:
            os._exit(1)
        if ONCE in levels and not Path(self.marker).exists():
            Path(self.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Scores(means)
