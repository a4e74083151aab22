"""NIQE: how far a picture's local statistics are from a model of natural photographs.

Mean and covariance of that model are those of LIVE's NIQE software release (The University of Texas
at Austin), as PyPI's basicsr 1.4.2 (Apache-2.0) carries them: `_data/niqe.safetensors`, with the
notices in `_data/NOTICE.txt`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, final

import torch
from jaxtyping import Bool, Float, Shaped
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from beholder.errors import ConfigError
from beholder.rewards._base import Reward, RewardCard, take_options
from beholder.rewards._card import Parity
from beholder.rewards._scene_statistics import fit_aggd, luminance, normalised, portions
from beholder.types import Scores

_DATA = Path(__file__).parent / "_data" / "niqe.safetensors"
_PATCH = 96
_LEAST_PATCH = 16
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))


@final
class Niqe(Reward):
    """Minus the published NIQE: nearer to 0 is more natural.

    The features of all patches, at full and at half size, are a Gaussian cloud; the score is its
    distance to that of natural photographs (Mittal et al., 2013, eq. 10).
    """

    card: ClassVar[RewardCard] = RewardCard(
        name="niqe",
        measures="naturalness of local statistics, without having learnt from opinions",
        paper="Mittal et al. (2013), Making a Completely Blind Image Quality Analyzer",
        weights_license="Apache-2.0 AND LicenseRef-LIVE",
        weights="in the package",
        score_range=(-torch.inf, 0.0),
        needs_prompt=False,
        parity=(
            Parity(
                against="niqe() of basicsr 1.4.2",
                error=0.05,
                spread=3.2,
                how="the same parameters and whole grey levels; 16 photographs, clean, halved,"
                " blurred and noisy; it takes shapes from a table and halves with mirrored borders",
            ),
        ),
        float_error=1e-6,
        notes=(
            "the total is minus the published value, so that higher is better",
            "pictures are scored at their own size; one needs two patches of 96 pixels with"
            " contrast, what is left over at the right and at the bottom does not count, and few"
            " patches give a rough covariance: above 500 pixels a side it is steady",
            "luminance is BT.601, in whole grey levels; patches without contrast are left out",
            "says nothing of content, anatomy or the prompt",
        ),
    )

    mean: Tensor
    covariance: Tensor

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch
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
        parts = [self._features(grey) for grey in portions(pixel_values[:, :1])]
        features, counts = (torch.cat(part) for part in zip(*parts, strict=True))
        scored = counts.sum(1) >= 2
        total = torch.where(scored, -self._distances(features, counts), torch.nan)
        few = (~scored).nonzero().flatten().tolist()
        return Scores(total.to(pixel_values.dtype), errors=dict.fromkeys(few, self._too_few()))

    @override
    def options(self) -> dict[str, object]:
        return {"patch": self.patch}

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Niqe:
        patch = take_options(options, {"patch"}, "niqe").get("patch", _PATCH)
        if type(patch) is not int or patch < _LEAST_PATCH or patch % 2:
            raise ConfigError(
                f"patch of niqe must be an even number of pixels from {_LEAST_PATCH}, got {patch!r}"
            )
        return cls(patch)

    def _features(
        self, pixel_values: Float[Tensor, "b 1 h w"]
    ) -> tuple[Float[Tensor, "b n 36"], Bool[Tensor, "b n"]]:
        """Features of each patch at both sizes, and whether it has contrast."""
        rows, columns = (side // self.patch for side in pixel_values.shape[2:])
        if rows * columns == 0:
            nothing = pixel_values.new_zeros(len(pixel_values), 0, 36, dtype=torch.float64)
            return nothing, nothing[..., 0].bool()
        grey = pixel_values[:, 0, : rows * self.patch, : columns * self.patch].double()
        half = functional.interpolate(
            grey[:, None], scale_factor=0.5, mode="bicubic", antialias=True
        )[:, 0]
        full_features, is_full = _patch_features(normalised(grey, "edge"), self.patch)
        half_features, is_half = _patch_features(normalised(half, "edge"), self.patch // 2)
        return torch.cat([full_features, half_features], dim=2), is_full & is_half

    def _distances(
        self, features: Float[Tensor, "b n 36"], counts: Bool[Tensor, "b n"]
    ) -> Float[Tensor, " b"]:
        mean, covariance = _cloud(features, counts)
        gap = mean - self.mean.double()
        pooled = (covariance + self.covariance.double()) / 2
        solved: Tensor = torch.linalg.solve(pooled, gap)
        return (gap * solved).sum(1).sqrt()

    def _too_few(self) -> str:
        return f"too-small: NIQE needs two patches of {self.patch} pixels that are not flat"


def build(*, patch: int = _PATCH) -> Niqe:
    """The reward with patches of `patch` pixels a side; its parameters come with the package."""
    return Niqe.from_options({"patch": patch})


def _patch_features(
    values: Float[Tensor, "b h w"], side: int
) -> tuple[Float[Tensor, "b n 18"], Bool[Tensor, "b n"]]:
    """Eighteen moments of each patch; neighbours of the last row and column are the first."""
    patches = values.unfold(1, side, side).unfold(2, side, side).flatten(1, 2)
    alone = fit_aggd(patches.flatten(2))
    left, right = alone.scales
    moments, fitted = [alone.shape, (left + right) / 2], alone.fitted
    for down, across in _SHIFTS:
        fit = fit_aggd((patches * patches.roll((down, across), (2, 3))).flatten(2))
        moments += [fit.shape, fit.mean, *fit.scales]
        fitted = fitted & fit.fitted
    return torch.stack(moments, dim=2), fitted


def _cloud(
    features: Float[Tensor, "b n 36"], counts: Bool[Tensor, "b n"]
) -> tuple[Float[Tensor, "b 36"], Float[Tensor, "b 36 36"]]:
    """Mean and unbiased covariance over the patches that count."""
    weights = counts.double()[..., None]
    total = weights.sum(1)
    mean = (weights * features).sum(1) / total.clamp(min=1)
    gaps = weights * (features - mean[:, None])
    return mean, gaps.mT @ gaps / (total[..., None] - 1).clamp(min=1)
