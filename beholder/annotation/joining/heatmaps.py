"""Points of several annotators -> one heatmap, as in RichHF (Liang et al., CVPR 2024).

A point given as shares (x, y) of the picture lies at (x w, y h) of a map of w x h pixels, whose
pixel in column j and row i has its centre at (j + 1/2, i + 1/2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from beholder.errors import ConfigError
from beholder.types import Point

_GAUSSIAN_REACH = 4  # standard deviations; farther away 255 exp(-8) is no grey level

Shape = Literal["disc", "gaussian"]


@dataclass(frozen=True, kw_only=True)
class HeatConfig:
    """How points become heatmaps; the defaults are the paper's.

    Attributes:
        shape: what one point marks.
        radius: of the disc, or standard deviation of the Gaussian, as a share of the map's height.
        size: height and width of the maps in pixels; None takes each picture's own.
    """

    shape: Shape = "disc"
    radius: float = 1 / 20
    size: tuple[int, int] | None = (512, 512)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.radius) and self.radius > 0):
            raise ConfigError(f"radius is {self.radius}, expected a positive share of the height")
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(f"size is {self.size}, expected a height and a width in pixels")

    def __str__(self) -> str:
        """How the maps were made, in one sentence for the data set's card."""
        size = "of the picture's own size" if self.size is None else "{} x {}".format(*self.size)
        what = "a disc of radius" if self.shape == "disc" else "a Gaussian of standard deviation"
        return (
            f"Heatmaps ({size}, height x width): each point is {what} {self.radius:.4g} of the "
            "height; the highest value over an annotator's points, averaged over annotators."
        )


PAPER = HeatConfig()
"""Discs of radius height / 20 at 512 x 512."""


def heatmap(
    points: Sequence[Sequence[Point]], size: tuple[int, int], heat: HeatConfig
) -> UInt8[Tensor, "h w"]:
    """The mean map of several annotators, 0 nowhere marked to 255 marked by all; 0 without any.

    `points` holds those of each annotator, one without points included.
    """
    maps = [annotator_map(mine, size, heat) for mine in points if mine]
    total = torch.stack(maps).sum(0) if maps else torch.zeros(size)
    return (total * (255 / max(len(points), 1))).round().to(torch.uint8)


def annotator_map(
    points: Sequence[Point], size: tuple[int, int], heat: HeatConfig
) -> Float[Tensor, "h w"]:
    """One annotator's map in [0, 1]: the union of discs, or the highest of the Gaussians."""
    height, width = size
    radius = heat.radius * height
    reach = radius if heat.shape == "disc" else _GAUSSIAN_REACH * radius
    nearest = torch.full(size, math.inf)
    for point in points:
        rows, vertical = _squares(point.y * height, reach, height)
        columns, horizontal = _squares(point.x * width, reach, width)
        part = nearest[rows, columns]
        torch.minimum(part, vertical[:, None] + horizontal, out=part)
    if heat.shape == "disc":
        return (nearest <= radius**2).float()
    return torch.exp(nearest / (-2 * radius**2))


def _squares(centre: float, reach: float, size: int) -> tuple[slice, Float[Tensor, " n"]]:
    """The pixels of one axis within reach of a place, and their squared distances from it."""
    pixels = slice(max(int(centre - reach), 0), min(int(centre + reach) + 1, size))
    return pixels, (torch.arange(pixels.start, pixels.stop) + 0.5 - centre).square()
