"""What a reward must beat: rewards that know the training data's means, or only contrast.

Each has the `score` of a reward, so that the same evaluation runs on it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from beholder.errors import DataError, ImageError
from beholder.eval.heatmaps import truth_map
from beholder.images import read_images
from beholder.types import MAPS, Feedback, Scores, WordLabel
from beholder.words import word_spans

_WORKING_SIDE = 64  # of the spectral residual; finer detail is noise to it
_HALF_A_LEVEL = 0.5 / 255
_GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class TrainingMeans:
    """What training records say on average.

    Attributes:
        values: aspect -> mean rating.
        maps: kind -> mean map.
        p_misaligned: the share of words that most annotators call misaligned.
    """

    values: Mapping[str, float]
    maps: Mapping[str, Float[Tensor, "m m"]]
    p_misaligned: float

    @classmethod
    def of(cls, records: Iterable[Feedback], side: int) -> TrainingMeans:
        """Means of records, with maps of `side` x `side`; DataError if there is no record."""
        values: defaultdict[str, list[float]] = defaultdict(list)
        sums: dict[str, Tensor] = {}
        maps, words, misaligned, records_seen = defaultdict[str, int](int), 0, 0, 0
        for record in records:
            records_seen += 1
            words += len(record.words)
            misaligned += sum(word.p_misaligned > 0.5 for word in record.words)
            for aspect, value in record.values.items():
                values[aspect].append(value)
            for kind, grey in record.maps.items():
                maps[kind] += 1
                sums[kind] = sums.get(kind, torch.zeros(side, side)) + truth_map(grey, (side, side))
        if not records_seen:
            raise DataError("there are no training records to take means of")
        return cls(
            {aspect: fmean(given) for aspect, given in values.items()},
            {kind: total / maps[kind] for kind, total in sums.items()},
            misaligned / words if words else 0.0,
        )


@dataclass(frozen=True, slots=True)
class ConstantBaseline:
    """The same scores, even maps and word probabilities for every picture: the training means."""

    means: TrainingMeans

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        """The means, one row a picture; no picture is read."""
        even = {kind: mean.mean().expand_as(mean) for kind, mean in self.means.maps.items()}
        return _same_for_all(prompts, self.means, even)


@dataclass(frozen=True, slots=True)
class CentreBias:
    """The mean training map for every picture: where faults are marked, whatever is shown."""

    means: TrainingMeans

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        """The means, one row a picture; no picture is read."""
        return _same_for_all(prompts, self.means, self.means.maps)


@dataclass(frozen=True, slots=True)
class GaussianCentre:
    """A Gaussian in the middle of every picture, 1 at its top; no scores and no words.

    Attributes:
        side: of the maps in pixels.
        spread: the standard deviation as a share of the side.
    """

    side: int
    spread: float = 0.25

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        """Maps, one row a picture; the totals are all 0 and no picture is read."""
        away = ((torch.arange(self.side) + 0.5) / self.side - 0.5) / self.spread
        profile = torch.exp(away.square() / -2)
        return _only_maps(torch.outer(profile, profile).expand(len(images), -1, -1))


@dataclass(frozen=True, slots=True)
class SpectralResidual:
    """What stands out of a picture by contrast (Hou and Zhang, CVPR 2007); no scores, no words.

    Attributes:
        side: of the maps in pixels.
    """

    side: int

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        """Maps with a top of 1, one row a picture; the totals are 0, errors as of a reward."""
        rows = read_images(images)
        errors = {k: f"{r.code}: {r}" for k, r in enumerate(rows) if isinstance(r, ImageError)}
        maps = [
            torch.full((self.side, self.side), math.nan)
            if isinstance(row, ImageError)
            else _enlarged(spectral_residual(_grey(row)), self.side)
            for row in rows
        ]
        return _only_maps(torch.stack(maps), errors)


def spectral_residual(grey: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Saliency with a top of 1 of a small grey picture, such as 64 x 64 (eqs. 2 to 4).

    The log amplitude less its 3 x 3 mean, with the phase kept, goes back to a picture, which is
    squared and blurred by a Gaussian of 2.5 pixels. An even picture gives 0. The amplitude that
    rounding to 8 bits makes is added before the logarithm, so that drawn pictures, whose spectrum
    has zeros, are no exception.
    """
    spectrum = torch.fft.fft2(grey.double())
    amplitude = torch.log(spectrum.abs() + math.sqrt(grey.numel() / 12) / 255)
    wrapped = functional.pad(amplitude[None, None], (1, 1, 1, 1), mode="circular")
    residual = amplitude - functional.avg_pool2d(wrapped, 3, stride=1)[0, 0]
    saliency = torch.fft.ifft2(torch.polar(residual.exp(), spectrum.angle())).abs().square()
    blurred = _blur(saliency, 2.5)
    if grey.max() - grey.min() < _HALF_A_LEVEL:
        return torch.zeros_like(grey)
    return (blurred / blurred.max()).to(grey.dtype)


def _blur(values: Tensor, sigma: float) -> Float[Tensor, "h w"]:
    reach = math.ceil(3 * sigma)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=values.dtype) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = functional.pad(values[None, None], (reach,) * 4, mode="replicate")
    rows = functional.conv2d(padded, kernel[None, None, :, None])
    return functional.conv2d(rows, kernel[None, None, None, :])[0, 0]


def _grey(picture: Tensor) -> Float[Tensor, "h w"]:
    """The picture squashed to the working square, as the truth is."""
    grey = (picture.float() / 255 * torch.tensor(_GREY)[:, None, None]).sum(0)
    return _resized(grey, _WORKING_SIDE)


def _enlarged(saliency: Tensor, side: int) -> Float[Tensor, "m m"]:
    return _resized(saliency, side).clamp(0, 1)


def _resized(values: Tensor, side: int) -> Float[Tensor, "m m"]:
    return functional.interpolate(
        values[None, None], [side, side], mode="bilinear", align_corners=False, antialias=True
    )[0, 0]


def _same_for_all(
    prompts: Sequence[str], means: TrainingMeans, maps: Mapping[str, Tensor]
) -> Scores:
    count = len(prompts)
    aspects = {aspect: torch.full((count,), value) for aspect, value in means.values.items()}
    return Scores(
        aspects.get("overall", torch.zeros(count)),
        aspects,
        {kind: drawn.expand(count, -1, -1) for kind, drawn in maps.items()},
        [_words(prompt, means.p_misaligned) for prompt in prompts],
    )


def _words(prompt: str, p: float) -> list[WordLabel]:
    return [WordLabel(prompt[start:end], start, end, p) for start, end in word_spans(prompt)]


def _only_maps(maps: Float[Tensor, "b m m"], errors: Mapping[int, str] | None = None) -> Scores:
    total = torch.zeros(len(maps))
    total[list(errors or ())] = math.nan
    return Scores(total, {}, dict.fromkeys(MAPS, maps), errors=errors or {})
