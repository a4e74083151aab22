"""Pixels between a picture and the wire: 8-bit ones travel as bytes, floats as floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Shaped
from numpy.typing import NDArray
from torch import Tensor

_ABOVE = 2
"""Where 8-bit pixels begin: float pixels end at 1, so each row of values says which it is."""


@dataclass(frozen=True, slots=True)
class Raw:
    """One picture as it travels: sRGB, row by row, three values each.

    Attributes:
        dtype: "uint8" in [0, 255], or little-endian "float32" in [0, 1].
    """

    data: bytes
    dtype: str
    height: int
    width: int

    @property
    def content_type(self) -> str:
        """What the part of a request says that carries it."""
        size = f"height={self.height}; width={self.width}"
        return f"application/x-beholder-pixels; dtype={self.dtype}; {size}"


def marked(pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Pixels as floats from which `raw` makes the very same, alone or packed with others.

    8-bit ones lie in [2, 257], which half precision holds exactly; float ones stay in [0, 1].
    """
    return pixels.half().add_(_ABOVE) if pixels.dtype == torch.uint8 else pixels.float()


def raw(values: Float[Tensor, "3 h w"]) -> Raw:
    """One picture of `marked` as it travels."""
    height, width = values.shape[1:]
    plain = values.detach().cpu()
    if bool(plain.min() >= _ABOVE):
        levels = (plain - _ABOVE).to(torch.uint8)
        return Raw(_rows(levels).tobytes(), "uint8", height, width)
    floats = _rows(plain.float()).astype("<f4", copy=False)
    return Raw(floats.tobytes(), "float32", height, width)


def _rows(values: Shaped[Tensor, "3 h w"]) -> NDArray[Any]:
    """Row by row, three values a pixel."""
    return values.permute(1, 2, 0).contiguous().numpy()
