"""BRISQUE: how far a picture's local statistics are from those of undistorted photographs.

Support vectors and feature ranges are those of LIVE's BRISQUE software release (The University of
Texas at Austin), as PyPI's brisque 0.2.0 (Apache-2.0) carries them: `_data/brisque.safetensors`,
with the notices in `_data/NOTICE.txt`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, final

import torch
from jaxtyping import Float, Shaped
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from beholder.rewards._base import Reward, RewardCard, take_options
from beholder.rewards._card import Parity
from beholder.rewards._scene_statistics import (
    Aggd,
    fit_aggd,
    luminance,
    normalised,
    portions,
)
from beholder.types import Scores

_DATA = Path(__file__).parent / "_data" / "brisque.safetensors"
_GAMMA = 0.05
_RHO = -155.845
_LEAST_SIDE = 14  # at half size the window of 7 pixels still fits
_SMALL = f"too-small: BRISQUE needs {_LEAST_SIDE} pixels a side"
_FLAT = "flat: BRISQUE fits densities to contrasts, and this picture has none"


@final
class Brisque(Reward):
    """Minus the published BRISQUE: near 0 for a clean photograph, near -100 for a ruined one.

    Thirty-six moments of locally normalised luminance, at full and at half size, go through a
    support vector regression on opinion scores (Mittal et al., 2012).
    """

    card: ClassVar[RewardCard] = RewardCard(
        name="brisque",
        measures="freedom from blur, noise and compression",
        paper="Mittal et al. (2012), No-Reference Image Quality Assessment in the Spatial Domain",
        weights_license="Apache-2.0 AND LicenseRef-LIVE",
        weights="in the package",
        needs_prompt=False,
        parity=(
            Parity(
                against="brisque 0.2.0, libsvm 3.37.0 and OpenCV 4.12.0",
                error=0.1,
                spread=28,
                how="the same parameters and whole grey levels, zeros left out of both sides; 16"
                " photographs, clean, halved, blurred and noisy",
            ),
        ),
        float_error=1e-6,
        notes=(
            "the total is minus the published value, so that higher is better",
            "trained on the LIVE database, release 2: blur, white noise, JPEG, JPEG 2000 and fading"
            " of photographs; says nothing of content, anatomy or the prompt",
            "pictures are scored at their own size, and the size moves the score",
            "luminance is BT.601, in whole grey levels; halves are bicubic without antialiasing:"
            " this is the model of LIVE's OpenCV program; its MATLAB model and halving differ",
            "PyPI's brisque 0.2.0 weighs luminance otherwise, does not round it, and counts"
            " products of 0 as positive: over 16 pictures it differs by 4.6 on average, 13 at most",
            "a picture without any contrast has no score",
        ),
    )

    support: Tensor
    coefficients: Tensor
    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in load_file(_DATA).items():
            self.register_buffer(name, values)

    @override
    def preprocess(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Grey levels in [0, 255] at the size of the pictures, the same in each channel."""
        return luminance(pixels).expand(-1, 3, -1, -1)

    @override
    def score_prepared(
        self, pixel_values: Float[Tensor, "b c h w"], prompts: Sequence[str]
    ) -> Scores:
        if min(pixel_values.shape[2:]) < _LEAST_SIDE:
            nothing = pixel_values.new_full((len(pixel_values),), torch.nan)
            return Scores(nothing, errors=dict.fromkeys(range(len(nothing)), _SMALL))
        parts = [_features(grey.double()) for grey in portions(pixel_values[:, 0])]
        features, scored = (torch.cat(part) for part in zip(*parts, strict=True))
        values = self.from_features(features)
        total = torch.where(scored, -values, torch.nan)
        flat = (~scored).nonzero().flatten().tolist()
        return Scores(total.to(pixel_values.dtype), errors=dict.fromkeys(flat, _FLAT))

    def from_features(self, features: Float[Tensor, "b 36"]) -> Float[Tensor, " b"]:
        """Published scores of 36 moments, 18 at each size (Mittal et al., 2012, section III)."""
        low, high = self.low.double(), self.high.double()
        scaled = 2 * (features - low) / (high - low) - 1
        gaps = scaled[:, None] - self.support.double()
        kernel = (-_GAMMA * gaps.square().sum(-1)).exp()
        return kernel @ self.coefficients.double() - _RHO

    @override
    def options(self) -> dict[str, object]:
        return {}

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Brisque:
        take_options(options, set(), "brisque")
        return cls()


def build() -> Brisque:
    """The reward; its parameters come with the package."""
    return Brisque()


def _features(grey: Float[Tensor, "b h w"]) -> tuple[Float[Tensor, "b 36"], Shaped[Tensor, " b"]]:
    """Moments at full and at half size, and whether all were fitted."""
    full, is_full = _moments(grey)
    half, is_half = _moments(_halved(grey))
    return torch.cat([full, half], dim=1), is_full & is_half


def _moments(grey: Float[Tensor, "b h w"]) -> tuple[Float[Tensor, "b 18"], Shaped[Tensor, " b"]]:
    """Moments of the coefficients and of products of neighbours, and whether all were fitted."""
    values = normalised(grey, "black")
    alone = fit_aggd(values.flatten(1))
    products = [fit_aggd(pair.flatten(1)) for pair in _neighbours(values)]
    moments = [alone.shape, (alone.left.square() + alone.right.square()) / 2]
    for fit in products:
        moments += [fit.shape, fit.mean, fit.left.square(), fit.right.square()]
    return torch.stack(moments, dim=1), _all_fitted([alone, *products])


def _all_fitted(fits: Sequence[Aggd]) -> Shaped[Tensor, " b"]:
    return torch.stack([fit.fitted for fit in fits]).all(0)


def _neighbours(values: Float[Tensor, "b h w"]) -> list[Tensor]:
    """Products with the right, the lower, the lower right and the upper right neighbour."""
    return [
        values[:, :, :-1] * values[:, :, 1:],
        values[:, :-1] * values[:, 1:],
        values[:, :-1, :-1] * values[:, 1:, 1:],
        values[:, 1:, :-1] * values[:, :-1, 1:],
    ]


def _halved(grey: Float[Tensor, "b h w"]) -> Float[Tensor, "b k m"]:
    """Half the size, odd sides rounded half to even: OpenCV's bicubic by a factor of 0.5."""
    down, across = (int(side % 4 == 3) for side in grey.shape[1:])
    padded = functional.pad(grey[:, None], (0, across, 0, down), mode="replicate")
    return functional.interpolate(
        padded, scale_factor=0.5, mode="bicubic", align_corners=False, recompute_scale_factor=False
    )[:, 0]
