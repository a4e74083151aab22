"""Colour maps, and maps of numbers as pictures and data addresses."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image

Stops = tuple[tuple[float, tuple[int, int, int, int]], ...]
"""A colour map: (position, red, green, blue and alpha), linear between the stops."""

HEAT: Stops = (
    (0.00, (13, 12, 34, 165)),
    (0.30, (70, 20, 104, 140)),
    (0.60, (216, 70, 76, 120)),
    (1.00, (255, 214, 92, 130)),
)
"""Attention from none to most: dim dark to bright gold."""

FAULTS: Stops = (
    (0.000, (59, 1, 131, 0)),
    (0.125, (106, 2, 143, 51)),
    (0.250, (154, 2, 138, 95)),
    (0.375, (197, 29, 119, 132)),
    (0.500, (234, 59, 91, 163)),
    (0.625, (254, 105, 60, 186)),
    (0.750, (254, 155, 69, 203)),
    (0.875, (255, 196, 94, 213)),
    (1.000, (255, 234, 107, 217)),
)
"""A fault map from 0, which leaves the picture untouched, to 1.

Lightness rises evenly, by OKLab from 0.32 to 0.93; opacity is 0.85 (1 - (1 - level)^2).
"""


def fault_overlay(marked: Float[Tensor, "h w"], size: tuple[int, int]) -> str:
    """A transparent PNG of a fault map over a picture of that width and height.

    Levels in [0, 1] are absolute: the same value has the same colour on every picture.
    """
    return data_address(fault_picture(marked, size), "PNG")


def fault_picture(marked: Float[Tensor, "h w"], size: tuple[int, int]) -> Image:
    """The same as an indexed Pillow picture, whose conversion to RGBA is transparent too."""
    from PIL import Image  # noqa: PLC0415  (drawing is the last thing a run does)

    levels = (marked.detach().float().cpu() * 255).round().to(torch.uint8)
    grid = Image.fromarray(levels.numpy()).resize(size, Image.Resampling.BILINEAR)
    return coloured(grid, FAULTS)


def coloured(grid: Image, stops: Stops) -> Image:
    """Grey levels 0 to 255 as an indexed picture with transparency."""
    from PIL import Image  # noqa: PLC0415

    colours = [heat(level / 255, stops) for level in range(256)]
    indexed = Image.frombytes("P", grid.size, grid.tobytes())
    indexed.putpalette([channel for colour in colours for channel in colour[:3]])
    indexed.info["transparency"] = bytes(colour[3] for colour in colours)
    return indexed


def heat(level: float, stops: Stops = HEAT) -> tuple[int, int, int, int]:
    """Red, green, blue and alpha of a level in [0, 1], between the stops of a colour map."""
    above = next(k for k, (stop, _) in enumerate(stops) if level <= stop)
    low, high = stops[max(above - 1, 0)], stops[above]
    share = (level - low[0]) / (high[0] - low[0]) if high[0] > low[0] else 0.0
    red, green, blue, alpha = (
        round(a + share * (b - a)) for a, b in zip(low[1], high[1], strict=True)
    )
    return red, green, blue, alpha


def data_address(picture: Image, kind: str, **options: object) -> str:
    """The picture written into its own address, as a file of that kind."""
    encoded = io.BytesIO()
    picture.save(encoded, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(encoded.getvalue()).decode()}"
