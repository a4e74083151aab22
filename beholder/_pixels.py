"""Values of any kind to three channels of pixels: scaled, checked, opaque, upright."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
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


def pixels_of(values: Tensor, alpha: Alpha) -> Tensor:
    """Three channels of uint8, or float32 in [0, 1], from a tensor (1 | 3 | 4, h, w).

    Raises ImageError "shape", "dtype", "range" or "non-finite".
    """
    if values.ndim != 3 or values.shape[0] not in {1, 3, 4}:
        hint = "; permute(2, 0, 1) puts channels first" if values.shape[2:] in {(3,), (4,)} else ""
        raise ImageError("shape", f"expected (1 | 3 | 4, h, w){hint}")
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
        eight_bit = (values.cpu().numpy().astype(np.uint32) + 128) // 257
        return torch.from_numpy(eight_bit.astype(np.uint8)).to(values.device)
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
    """Three channels: grey repeated, alpha composited over its background or dropped.

    colour * alpha + background * (1 - alpha), of which 8-bit values take the nearest integer.
    """
    if values.shape[0] < 4:
        return values.expand(3, -1, -1)
    if alpha == "drop":
        return values[:3]
    background = float(alpha == "white")
    if values.is_floating_point():
        return values[:3] * values[3] + background * (1 - values[3])
    return _composite(values, int(255 * background))


def _composite(values: UInt8[Tensor, "4 h w"], background: int) -> UInt8[Tensor, "3 h w"]:
    # numpy, as torch would start a team of threads in each decoding thread
    layers = values.cpu().numpy()
    mixed = np.empty((*layers.shape[1:], 3), np.uint8)
    for top in range(0, len(mixed), _STRIP_ROWS):  # wide integers of a whole picture are large
        rows = slice(top, top + _STRIP_ROWS)
        alpha = layers[3, rows].astype(np.uint16)
        behind = (255 - alpha) * np.uint16(background)
        for channel in range(3):
            mixed[rows, :, channel] = _divide_by_255(layers[channel, rows] * alpha + behind)
    return torch.from_numpy(mixed).permute(2, 0, 1).to(values.device)


def _divide_by_255(product: Array) -> Array:
    """The nearest integer, exactly, to uint16 / 255 up to 255 * 255; shifts outrun a division."""
    rounding: Array = product + np.uint16(128)
    shifted: Array = (rounding + (rounding >> 8)) >> 8
    return shifted


def upright(pixels: Shaped[Tensor, "3 h w"], orientation: int) -> Shaped[Tensor, "3 _ _"]:
    """The pixels as EXIF orientation 1 to 8 wants them shown; any other number changes nothing."""
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.mT
    flipped = {2: [2], 3: [1, 2], 4: [1], 6: [2], 7: [1, 2], 8: [1]}.get(orientation, [])
    return pixels.flip(flipped) if flipped else pixels
