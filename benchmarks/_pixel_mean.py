"""A reward without weights, which benchmarks give whatever it is that they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor
from typing_extensions import override

from beholder.rewards import Reward
from beholder.types import Scores


class PixelMean(Reward):
    """The mean of all values of a picture; a subclass has a card, and does something before."""

    @override
    def preprocess(self, pixels: Tensor) -> Tensor:
        return pixels / 255

    @override
    def options(self) -> dict[str, object]:
        return {}

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Reward:
        return cls()

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        return Scores(pixel_values.float().mean((1, 2, 3)))
