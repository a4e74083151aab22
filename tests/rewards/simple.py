"""Rewards whose numbers a test can work out by hand."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from beholder.errors import ConfigError
from beholder.rewards import Reward, RewardCard
from beholder.types import Scores


class Simple(Reward):
    """Keeps pictures at their own size; has no options."""

    @override
    def preprocess(self, pixels: Tensor) -> Tensor:
        return pixels / 255 if pixels.dtype == torch.uint8 else pixels

    @override
    def options(self) -> dict[str, object]:
        return {}

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Reward:
        if options:
            raise ConfigError(f"simple rewards have no options, got {options}")
        return cls()


class Mean(Simple):
    """The mean of all values."""

    card = RewardCard(name="mean", paper="none", needs_prompt=False)

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        return Scores(pixel_values.mean((1, 2, 3)))


class Red(Simple):
    """The mean of the red channel; a prompt "nan" has no score."""

    card = RewardCard(name="red", paper="none", aspects=("red",), weights_license="MIT")

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        red = pixel_values[:, 0].mean((1, 2))
        total = red * red.new_tensor([float("nan") if p == "nan" else 1.0 for p in prompts])
        return Scores(total, {"red": red})


class Wide(Simple):
    """1 for pictures wider than high, else 0: two sizes of one area differ; no gradient."""

    card = RewardCard(name="wide", paper="none", differentiable=False)

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        height, width = pixel_values.shape[2:]
        return Scores(pixel_values.new_full((len(pixel_values),), float(width > height)))


class Constant(Simple):
    """0 for every picture, with a gradient of 0."""

    card = RewardCard(name="constant", paper="none")

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        return Scores(0 * pixel_values.sum((1, 2, 3)))


def flat(*values: float, size: tuple[int, int] = (4, 6)) -> Tensor:
    """Grey pictures of these values."""
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, *size)
