"""Small copies of pictures as data addresses, so that a page needs no other file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from beholder.errors import ImageError
from beholder.images import ImageSource, read_image

if TYPE_CHECKING:
    from PIL.Image import Image

Fit = Literal["crop", "squash", "pad"]
"""How a reward makes a picture square: its central square, squeezed, or padded with black."""

SIDE = 320
"""Longest side of a thumbnail in pixels: sharp at the 160 to 300 px at which pages show it."""

HEAT = (
    (0.00, (13, 12, 34, 165)),
    (0.30, (70, 20, 104, 140)),
    (0.60, (216, 70, 76, 120)),
    (1.00, (255, 214, 92, 130)),
)
"""Attention from none to most: (position, red, green, blue and alpha). Dim dark to bright gold."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture to draw: its data address and its size in pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Missing:
    """A picture that cannot be drawn, and why."""

    code: str
    reason: str


def thumbnail(source: ImageSource, *, fit: Fit | None = None) -> Thumbnail | Missing:
    """A copy of at most 320 pixels a side; why there is none if the picture cannot be read.

    `fit` shows the square that a reward saw: "crop", "squash" or "pad"; None the whole picture.
    """
    try:
        pixels = read_image(source)
    except ImageError as error:
        return Missing(error.code, str(error))
    picture = _as_pil(pixels)
    small = _shrunk(picture) if fit is None else squared(picture, fit)
    return Thumbnail(_address(small, "WEBP", quality=80), small.width, small.height)


def squared(picture: Image, fit: Fit) -> Image:
    """What a reward sees of a picture, 320 pixels square."""
    from PIL import ImageOps  # noqa: PLC0415  (drawing is the last thing a run does)

    size = (SIDE, SIDE)
    if fit == "crop":
        return ImageOps.fit(picture, size)
    return picture.resize(size) if fit == "squash" else ImageOps.pad(picture, size)


def overlay(attention: Float[Tensor, "h w"]) -> str:
    """A transparent PNG of an attention map, brightest where the weight is highest.

    Weights are shown as shares of the highest; a map without any weight is dark all over.
    """
    from PIL import Image  # noqa: PLC0415

    weights = attention.detach().float().cpu().nan_to_num(0.0).clamp(min=0)
    levels = (weights / weights.max().clamp(min=1e-12) * 255).round().to(torch.uint8)
    grid = Image.fromarray(levels.numpy()).resize((SIDE // 2, SIDE // 2), Image.Resampling.BICUBIC)
    colours = [heat(level / 255) for level in range(256)]
    indexed = Image.frombytes("P", grid.size, grid.tobytes())
    indexed.putpalette([channel for colour in colours for channel in colour[:3]])
    return _address(indexed, "PNG", transparency=bytes(colour[3] for colour in colours))


def heat(level: float) -> tuple[int, int, int, int]:
    """Red, green, blue and alpha of an attention level in [0, 1], between the stops of `HEAT`."""
    above = next(k for k, (stop, _) in enumerate(HEAT) if level <= stop)
    low, high = HEAT[max(above - 1, 0)], HEAT[above]
    share = (level - low[0]) / (high[0] - low[0]) if high[0] > low[0] else 0.0
    red, green, blue, alpha = (
        round(a + share * (b - a)) for a, b in zip(low[1], high[1], strict=True)
    )
    return red, green, blue, alpha


def _as_pil(pixels: Shaped[Tensor, "3 h w"]) -> Image:
    from PIL import Image  # noqa: PLC0415

    whole = pixels if pixels.dtype == torch.uint8 else (pixels * 255).round().to(torch.uint8)
    return Image.fromarray(whole.permute(1, 2, 0).contiguous().cpu().numpy())


def _shrunk(picture: Image) -> Image:
    picture.thumbnail((SIDE, SIDE))
    return picture


def _address(picture: Image, kind: str, **options: object) -> str:
    encoded = io.BytesIO()
    picture.save(encoded, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(encoded.getvalue()).decode()}"
