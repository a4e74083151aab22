"""An embedding of pictures that needs no weights: what is left of them at 32 x 32 pixels.

Red, green and blue are shrunk by area to 32 x 32 whatever their shape, taken apart into waves (the
discrete cosine transform) and mixed to luminance and chroma as JPEG does (ITU-T T.871). The lowest
16 x 16 waves of luminance and 8 x 8 of each chroma count, each times its frequency to the power of
3/4, so that the few longest do not decide alone. The mean grey is left out and the length is 1, so
brightness and contrast hardly count.

It sees the same picture after other compression, another size and small changes of light. It does
not see it after a crop, a flip or a turn, and two different pictures of one thing are not alike.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from beholder.eval.extractors._base import Extractor

NAME = "thumbprint"
THRESHOLD = 0.95
"""The cosine from which on two pictures are one.

Measured on 393 pictures that ship with scikit-image, scikit-learn and Tux Paint: of 77,026 pairs of
different pictures one lies above (two sides of a die, 0.990), and these shares of their copies lie
below: JPEG of quality 50, half the size, or 10 % more contrast 0.0 %; half the size and quality 50
0.5 %; 10 % brighter 1.5 %, all of them cut-outs on white; 98 % of the picture 1.8 %; 95 % of it
85 %; flipped 94 %.
"""

_SIDE = 32
_LUMA, _CHROMA = 16, 8  # waves in each direction
_CHROMA_MEAN = 0.5  # of its weight; a cast of the light changes it most
_POWER = 0.75
_FLAT = 8.0  # a wave that every picture has, a quarter of a grey level: flat pictures are alike
_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


class Thumbprint(Extractor):
    """Pictures -> rows of length 1."""

    identity = NAME
    resize = "area"
    weights_id = hashlib.sha256(f"{_LUMA} {_CHROMA} {_CHROMA_MEAN} {_POWER}".encode()).hexdigest()[
        :16
    ]

    @property
    @override
    def layers(self) -> Mapping[str, int]:
        return {"waves": _LUMA**2 - 1 + 2 * _CHROMA**2 + 1}

    @override
    def prepare(self, picture: Tensor) -> Tensor:
        return shrunk(picture)

    @override
    def forward(self, prepared: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        self.check_layers(layers)
        return dict.fromkeys(layers, _rows(prepared))


def shrunk(picture: Tensor) -> Float[Tensor, "3 32 32"]:
    """A picture (3, h, w) averaged over 32 x 32 equal areas, in its own range."""
    _, height, width = picture.shape
    rows, columns = _areas(height), _areas(width)
    return torch.stack([rows @ plane.float() @ columns.T for plane in picture])


@lru_cache(maxsize=64)
def _areas(size: int) -> Float[Tensor, "32 n"]:
    """How much of each of 32 equal parts each of `size` pixels covers; rows add up to 1."""
    edges = torch.linspace(0, size, _SIDE + 1, dtype=torch.float64)[:, None]
    pixels = torch.arange(size, dtype=torch.float64)
    covered = torch.minimum(edges[1:], pixels + 1) - torch.maximum(edges[:-1], pixels)
    shares: Tensor = (covered.clamp(min=0) * (_SIDE / size)).float()
    return shares


def _rows(small: Float[Tensor, "b 3 32 32"]) -> Float[Tensor, "b d"]:
    values = small.double()
    waves = _waves().to(values)
    mixed = torch.tensor(_YCC).to(values)
    found = torch.einsum("ux,bcxy,vy,dc->bduv", waves, values, waves, mixed)
    found = found * _weights().to(values)
    chroma = found[:, 1:, :_CHROMA, :_CHROMA].flatten(1)
    flat = torch.full_like(chroma[:, :1], _FLAT)
    rows = torch.cat([found[:, 0].flatten(1)[:, 1:], chroma, flat], dim=1)
    lengths = rows.norm(dim=1, keepdim=True)
    units: Tensor = (rows / lengths).float()
    return units


def _waves() -> Float[Tensor, "16 32"]:
    """The lowest orthonormal waves of the cosine transform (DCT-II)."""
    order = torch.arange(_LUMA, dtype=torch.float64)[:, None]
    place = torch.arange(_SIDE, dtype=torch.float64)
    waves: Tensor = torch.cos(math.pi * (2 * place + 1) * order / (2 * _SIDE)) * (2 / _SIDE) ** 0.5
    waves[0] /= 2**0.5
    return waves


def _weights() -> Float[Tensor, "3 16 16"]:
    """What each wave counts; the mean of luminance is cut off afterwards."""
    order = torch.arange(_LUMA, dtype=torch.float64)
    frequency = torch.hypot(order[:, None], order[None]).clamp(min=1)
    weights: Tensor = (frequency**_POWER).repeat(3, 1, 1)
    weights[1:, 0, 0] = _CHROMA_MEAN
    return weights
