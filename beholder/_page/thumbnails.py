"""Small copies of pictures and the maps laid over them, as data addresses: no page needs a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from beholder._notebook.colours import FAULTS as FAULTS
from beholder._notebook.colours import HEAT as HEAT
from beholder._notebook.colours import Stops as Stops
from beholder._notebook.colours import coloured, data_address
from beholder._notebook.colours import fault_overlay as fault_overlay
from beholder._notebook.colours import fault_picture as fault_picture
from beholder._notebook.colours import heat as heat
from beholder.errors import DataError, ImageError
from beholder.images import ImageSource, read_image

if TYPE_CHECKING:
    from PIL.Image import Image

Fit = Literal["crop", "squash", "pad"]
"""How a reward makes a picture square: its central square, squeezed, or padded with black."""

SIDE = 320
"""Longest side of a thumbnail in pixels: sharp at the 160 to 300 px at which pages show it."""


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
    return Thumbnail(data_address(small, "WEBP", quality=quality), small.width, small.height)


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
    return data_address(coloured(grid, HEAT), "PNG")


def check_map(marked: Tensor, name: str) -> None:
    """Raises DataError if a map of faults has no pixel, less than two axes or leaves [0, 1]."""
    if marked.ndim < 2 or not marked.numel():
        raise DataError(f"the {name} map is {tuple(marked.shape)}, expected (..., height, width)")
    low, high = float(marked.min()), float(marked.max())
    if not (low >= 0 and high <= 1):  # false for NaN
        raise DataError(f"the {name} map holds values from {low} to {high}, expected [0, 1]")


def _as_pil(pixels: Shaped[Tensor, "3 h w"]) -> Image:
    from PIL import Image  # noqa: PLC0415

    whole = pixels if pixels.dtype == torch.uint8 else (pixels * 255).round().to(torch.uint8)
    return Image.fromarray(whole.permute(1, 2, 0).contiguous().cpu().numpy())


def _shrunk(picture: Image, side: int) -> Image:
    picture.thumbnail((side, side))
    return picture
