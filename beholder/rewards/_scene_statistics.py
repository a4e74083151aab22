"""Natural scene statistics: local contrast normalisation and asymmetric generalised Gaussian fits.

What BRISQUE (Mittal et al., 2012) and NIQE (Mittal et al., 2013) share. All but the grey levels
is computed in float64: local variances are differences of large numbers, and NIQE inverts a
covariance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn import functional

from beholder.rewards._precision import at_least_float32
from beholder.rewards._preprocess import straight_through

Border = Literal["black", "edge"]
"""What a window meets outside the picture: nothing, or the nearest pixel."""

_BT601 = (0.299, 0.587, 0.114)
_ROUNDING = 1e-4  # halves go up, also those that float32 misses
_PORTION = 2**21  # pixels; each takes some 130 bytes
_RADIUS = 3
_SIGMA = 7 / 6
_SHAPES = (0.2, 10.0, 0.001)  # lowest and highest shape of a fit, and the step of the first guess
_TINY = 1e-30  # keeps slopes finite where there is nothing to fit


@dataclass(frozen=True, slots=True)
class Aggd:
    """Fits of an asymmetric generalised Gaussian density (Lasmar et al., 2009).

    Attributes:
        shape: exponent alpha, in [0.2, 10]; 2 is a Gaussian, 1 a Laplacian.
        left, right: root mean squares of the values below and above 0.
        fitted: whether there were values on both sides; the rest means nothing where not.
    """

    shape: Float[Tensor, "*rows"]
    left: Float[Tensor, "*rows"]
    right: Float[Tensor, "*rows"]
    fitted: Bool[Tensor, "*rows"]

    @property
    def scales(self) -> tuple[Float[Tensor, "*rows"], Float[Tensor, "*rows"]]:
        """Scale parameters beta of the left and of the right side."""
        inverse = 1 / self.shape
        scale = ((torch.lgamma(inverse) - torch.lgamma(3 * inverse)) / 2).exp()
        return scale * self.left, scale * self.right

    @property
    def mean(self) -> Float[Tensor, "*rows"]:
        """The mean of the fitted density, eta."""
        left, right = self.scales
        inverse = 1 / self.shape
        return (right - left) * (torch.lgamma(2 * inverse) - torch.lgamma(inverse)).exp()


def luminance(pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Whole grey levels in [0, 255], weighted as BT.601, of uint8 pixels or floats in [0, 1].

    Published programs round them, and in smooth pictures that moves scores. The gradient of float
    pixels goes straight through the rounding.
    """
    values = pixels / 255 if pixels.dtype == torch.uint8 else at_least_float32(pixels)
    weights = values.new_tensor(_BT601)[:, None, None]
    grey = 255 * (values * weights).sum(1, keepdim=True)  # autocast and TF32 round matrix products
    return straight_through((grey + 0.5 + _ROUNDING).floor().clamp(0, 255), grey)


def portions(pictures: Float[Tensor, "b *c h w"]) -> tuple[Tensor, ...]:
    """The pictures, as many at a time as take about a quarter of a gigabyte to score."""
    pixels = pictures.shape[-2] * pictures.shape[-1]
    return torch.split(pictures, max(1, _PORTION // max(1, pixels)))


def normalised(grey: Float[Tensor, "b h w"], border: Border) -> Float[Tensor, "b h w"]:
    """Mean-subtracted contrast-normalised coefficients (Mittal et al., 2012, eq. 1).

    Local means are those of a 7 x 7 Gaussian window; `border` says what it meets outside.
    """
    grey = grey.double()
    mean = _blurred(grey, border)
    variance = _blurred(grey.square(), border) - mean.square()
    return (grey - mean) / (variance.abs().clamp(min=_TINY).sqrt() + 1)


def fit_aggd(values: Float[Tensor, "*rows n"]) -> Aggd:
    """The density of each row by matching moments (Lasmar et al., 2009).

    The shape solves the moments' equation exactly, and its gradient is the implicit one; published
    programs take the nearest of a table in steps of 0.001.
    """
    squares, below, above = values.square(), values < 0, values > 0
    left, right = _root_mean(squares, below), _root_mean(squares, above)
    ratio = left / right
    flatness = values.abs().mean(-1).square() / squares.mean(-1).clamp(min=_TINY)
    target = flatness * (ratio**3 + 1) * (ratio + 1) / (ratio.square() + 1).square()
    return Aggd(_shape(target), left, right, below.any(-1) & above.any(-1))


def _blurred(picture: Float[Tensor, "b h w"], border: Border) -> Float[Tensor, "b h w"]:
    steps = torch.arange(-_RADIUS, _RADIUS + 1, dtype=picture.dtype, device=picture.device)
    window = (-(steps / _SIGMA).square() / 2).exp()
    window = window / window.sum()
    framed = functional.pad(
        picture[:, None], (_RADIUS,) * 4, mode="constant" if border == "black" else "replicate"
    )
    rows = functional.conv2d(framed, window.view(1, 1, -1, 1))
    return functional.conv2d(rows, window.view(1, 1, 1, -1))[:, 0]


def _root_mean(
    squares: Float[Tensor, "*rows n"], chosen: Bool[Tensor, "*rows n"]
) -> Float[Tensor, "*rows"]:
    mean = (squares * chosen).sum(-1) / chosen.sum(-1).clamp(min=1)
    return mean.clamp(min=_TINY).sqrt()


def _shape(target: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """The shape whose moment ratio is `target`, or the nearest one in range."""
    shapes, ratios = (table.to(target.device) for table in _table())
    wanted = target.clamp(ratios[0].item(), ratios[-1].item())
    at = torch.searchsorted(ratios, wanted.detach().contiguous()).clamp(max=len(shapes) - 1)
    near = _newton(shapes[at], wanted.detach())
    return _newton(near, wanted)  # once more for the gradient, which is 1 / slope at the solution


def _newton(shape: Float[Tensor, "*rows"], wanted: Float[Tensor, "*rows"]) -> Tensor:
    inverse = 1 / shape
    slope = 4 * torch.digamma(2 * inverse) - torch.digamma(inverse)
    slope = (3 * torch.digamma(3 * inverse) - slope) * inverse.square() * _moment_ratio(shape)
    return shape + (wanted - _moment_ratio(shape)) / slope


def _moment_ratio(shape: Float[Tensor, "*rows"]) -> Float[Tensor, "*rows"]:
    """Squared mean modulus over mean square; it grows with the shape."""
    inverse = 1 / shape
    logs = 2 * torch.lgamma(2 * inverse) - torch.lgamma(inverse) - torch.lgamma(3 * inverse)
    return logs.exp()


@cache
def _table() -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    low, high, step = _SHAPES
    shapes = torch.linspace(low, high, round((high - low) / step) + 1, dtype=torch.float64)
    return shapes, _moment_ratio(shapes)
