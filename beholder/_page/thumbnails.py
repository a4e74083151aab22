"""Small copies of pictures and the maps laid over them, as data addresses: no page needs a file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from beholder.errors import DataError, ImageError
from beholder.images import ImageSource, read_image

if TYPE_CHECKING:
    from PIL.Image import Image

Fit = Literal["crop", "squash", "pad"]
"""How a reward makes a picture square: its central square, squeezed, or padded with black."""

SIDE = 320
"""Longest side of a thumbnail in pixels: sharp at the 160 to 300 px at which pages show it."""

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


def thumbnail(
    source: ImageSource, *, fit: Fit | None = None, side: int = SIDE, quality: int = 80
) -> Thumbnail | Missing:
    """A copy of at most `side` pixels a side; why there is none if the picture cannot be read.

    `fit` shows the square that a reward saw, 320 pixels a side: "crop", "squash" or "pad"; None the
    whole picture. `quality` is that of WebP, in [0, 100].
    """
    whole = opened(source)
    if isinstance(whole, Missing):
        return whole
    small = _shrunk(whole, side) if fit is None else squared(whole, fit)
    return Thumbnail(_address(small, "WEBP", quality=quality), small.width, small.height)


def opened(source: ImageSource) -> Image | Missing:
    """The whole picture as Pillow draws it, or why it cannot be read."""
    try:
        return _as_pil(read_image(source))
    except ImageError as error:
        return Missing(error.code, str(error))


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
    return _address(_coloured(grid, HEAT), "PNG")


def check_map(marked: Tensor, name: str) -> None:
    """Raises DataError if a map of faults has no pixel, less than two axes or leaves [0, 1]."""
    if marked.ndim < 2 or not marked.numel():
        raise DataError(f"the {name} map is {tuple(marked.shape)}, expected (..., height, width)")
    low, high = float(marked.min()), float(marked.max())
    if not (low >= 0 and high <= 1):  # false for NaN
        raise DataError(f"the {name} map holds values from {low} to {high}, expected [0, 1]")


def fault_overlay(marked: Float[Tensor, "h w"], size: tuple[int, int]) -> str:
    """A transparent PNG of a fault map over a picture of that width and height.

    Levels in [0, 1] are absolute: the same value has the same colour on every picture.
    """
    return _address(fault_picture(marked, size), "PNG")


def fault_picture(marked: Float[Tensor, "h w"], size: tuple[int, int]) -> Image:
    """The same as an indexed Pillow picture, whose conversion to RGBA is transparent too."""
    from PIL import Image  # noqa: PLC0415

    levels = (marked.detach().float().cpu() * 255).round().to(torch.uint8)
    grid = Image.fromarray(levels.numpy()).resize(size, Image.Resampling.BILINEAR)
    return _coloured(grid, FAULTS)


def _coloured(grid: Image, stops: Stops) -> Image:
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


def _as_pil(pixels: Shaped[Tensor, "3 h w"]) -> Image:
    from PIL import Image  # noqa: PLC0415

    whole = pixels if pixels.dtype == torch.uint8 else (pixels * 255).round().to(torch.uint8)
    return Image.fromarray(whole.permute(1, 2, 0).contiguous().cpu().numpy())


def _shrunk(picture: Image, side: int) -> Image:
    picture.thumbnail((side, side))
    return picture


def _address(picture: Image, kind: str, **options: object) -> str:
    encoded = io.BytesIO()
    picture.save(encoded, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(encoded.getvalue()).decode()}"
