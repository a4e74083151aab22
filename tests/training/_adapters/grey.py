"""A reward whose scores and gradients are worked out in the head."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from typing_extensions import override

from beholder.rewards import Reward, RewardCard
from beholder.types import Scores


class Grey(Reward):
    """The mean of all values, NaN of a black picture; "red" is the mean of the first channel.

    A prompt "plus" adds 1. Its one weight is 1, so that it has something to freeze.
    """

    card: ClassVar[RewardCard] = RewardCard(name="grey", paper="none: for tests", aspects=("red",))

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    @override
    def preprocess(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        return pixels.float() / (1 if pixels.is_floating_point() else 255)

    @override
    def score_prepared(
        self, pixel_values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]
    ) -> Scores:
        bonus = pixel_values.new_tensor([float(prompt == "plus") for prompt in prompts])
        mean = pixel_values.mean((1, 2, 3)) * self.scale
        total = mean.where(mean > 0, math.nan) + bonus
        return Scores(total, {"red": pixel_values[:, 0].mean((1, 2))})

    @override
    def options(self) -> dict[str, object]:
        return {}

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> "Grey":
        return cls()


class Opaque(Grey):
    """The same without a gradient."""

    card: ClassVar[RewardCard] = RewardCard(
        name="opaque", paper="none: for tests", differentiable=False
    )


def greys(*levels: float, side: int = 4) -> Float[Tensor, "b 3 h w"]:
    """Pictures of one grey each, in [0, 1]."""
    return torch.tensor(levels)[:, None, None, None].expand(-1, 3, side, side).clone()
