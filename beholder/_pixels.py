"""Values of any kind to three channels of pixels: scaled, checked, opaque, upright."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from beholder.errors import ImageError

Array = np.ndarray[Any, np.dtype[Any]]
"""An array of any shape and number type; checked where it comes in."""

Alpha = Literal["white", "black", "drop"]
"""What shows behind transparent pixels; "drop" forgets alpha, so that hidden colours show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The largest picture that is read.

    Attributes:
        bytes: of a file or of encoded bytes.
        pixels: width x height.
        side: of the longer side, in pixels.
        aspect: longer side / shorter side. Resizing the shorter side of a 1 x 8000 picture to
            224 would make 401 million pixels.
    """

    bytes: int = 64 * 2**20
    pixels: int = 50_000_000
    side: int = 16_384
    aspect: float = 200


LIMITS = Limits()
"""What is read unless told otherwise."""

_FLOAT_TOLERANCE = 1e-3  # what a decoder's rounding may leave outside [0, 1]
_STRIP_ROWS = 256


def channels_first(values: Array) -> Shaped[Tensor, "c h w"]:
    """The array (h, w) or (h, w, c) as a tensor, sharing its memory where it can.

    Raises ImageError "shape" or "dtype".
    """
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3 or values.shape[2] not in {1, 3, 4}:
        hint = "; transpose(1, 2, 0) puts channels last" if values.shape[:1] in {(1,), (3,)} else ""
        raise ImageError("shape", f"expected (h, w) or (h, w, 1 | 3 | 4){hint}")
    if values.dtype.kind not in "buf" or values.dtype.itemsize > 8:
        raise ImageError("dtype", _dtype_advice())
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(np.require(native, requirements=["C", "W"])).permute(2, 0, 1)


def pixels_of(values: Tensor, alpha: Alpha, limits: Limits) -> Tensor:
    """Three channels of uint8, or float32 in [0, 1], from a tensor (1 | 3 | 4, h, w).

    Raises ImageError "shape", "dtype", "range", "non-finite", "too-large" or "aspect".
    """
    if values.ndim != 3 or values.shape[0] not in {1, 3, 4}:
        hint = "; permute(2, 0, 1) puts channels first" if values.shape[2:] in {(3,), (4,)} else ""
        raise ImageError("shape", f"expected (1 | 3 | 4, h, w){hint}")
    check_size(values.shape[2], values.shape[1], limits)
    return opaque(scaled(values), alpha)


def check_size(width: int, height: int, limits: Limits) -> None:
    """Raise ImageError "shape", "too-large" or "aspect" unless the size is within the limits."""
    short, long = sorted((width, height))
    if short < 1:
        raise ImageError("shape", f"{width} x {height} has no pixels")
    if long > limits.side or width * height > limits.pixels:
        raise ImageError(
            "too-large",
            f"{width} x {height} is over the limit of {limits.pixels:,} pixels "
            f"or {limits.side:,} a side; resize it",
        )
    if long > limits.aspect * short:
        raise ImageError(
            "aspect", f"{width} x {height} is over the limit of {limits.aspect:g}:1; crop it"
        )


def scaled(values: Shaped[Tensor, "c h w"]) -> Shaped[Tensor, "c h w"]:
    """The values as uint8 or as float32 in [0, 1]; raises ImageError if they cannot be."""
    if values.dtype == torch.uint8:
        return values
    if values.dtype == torch.bool:
        return values.to(torch.uint8) * 255
    if values.dtype == torch.uint16:
        return ((values.to(torch.int32) + 128) // 257).to(torch.uint8)
    if values.is_floating_point():
        return _unit(values.float())
    raise ImageError("dtype", _dtype_advice())


def _dtype_advice() -> str:
    return "expected uint8, uint16, bool or float values; 0..255 integers become astype('uint8')"


def _unit(values: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
    low, high = (bound.item() for bound in values.detach().aminmax())
    if not np.isfinite([low, high]).all():
        raise ImageError("non-finite", "it holds NaN or infinite values; look at what made it")
    if low < -_FLOAT_TOLERANCE or high > 1 + _FLOAT_TOLERANCE:
        advice = "(x + 1) / 2 maps [-1, 1]" if high <= 1 + _FLOAT_TOLERANCE else "divide by 255"
        raise ImageError("range", f"values in [{low:.3g}, {high:.3g}], expected [0, 1]; {advice}")
    return values.clamp(0, 1) if low < 0 or high > 1 else values


def opaque(values: Shaped[Tensor, "c h w"], alpha: Alpha) -> Shaped[Tensor, "3 h w"]:
    """Three channels: grey repeated, alpha composited over its background or dropped."""
    if values.shape[0] < 4:
        return values.expand(3, -1, -1)
    if alpha == "drop":
        return values[:3]
    # strips keep the wide integers of a large picture out of memory
    strips = values.split(_STRIP_ROWS, dim=1)
    return torch.cat([_composite(strip, float(alpha == "white")) for strip in strips], dim=1)


def _composite(values: Shaped[Tensor, "4 h w"], background: float) -> Shaped[Tensor, "3 h w"]:
    """Mix colour * alpha + background * (1 - alpha); 8-bit values are rounded to nearest."""
    colour, alpha = values[:3], values[3]
    if values.is_floating_point():
        return colour * alpha + background * (1 - alpha)
    colour, alpha = colour.to(torch.int32), alpha.to(torch.int32)
    mixed = colour * alpha + int(255 * background) * (255 - alpha)
    return ((mixed + 127) // 255).to(torch.uint8)


def upright(pixels: Shaped[Tensor, "3 h w"], orientation: int) -> Shaped[Tensor, "3 _ _"]:
    """The pixels as EXIF orientation 1 to 8 wants them shown; any other number changes nothing."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.mT
    flipped = {2: [2], 3: [1, 2], 4: [1], 6: [2], 7: [1, 2], 8: [1]}.get(orientation, [])
    return pixels.flip(flipped) if flipped else pixels
