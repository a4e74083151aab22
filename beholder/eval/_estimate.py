"""A measured number with its bootstrap interval, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from beholder.eval._bootstrap import Floats, percentile_interval, resampled_sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One number about a set of samples.

    Attributes:
        value: None where it is not defined.
        low, high: its 95 % bootstrap interval over samples; None where none was drawn.
        samples: how many count in it.
        why: why there is no value; "" if there is one.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    samples: int
    why: str = ""

    def as_dict(self) -> dict[str, float | int | str | None]:
        """The same as plain JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Sums over samples whose ratio is measured: a mean, or a precision over all words.

    Attributes:
        top, bottom: what each sample adds to numerator and denominator, (samples,).
        why: the reason to give if the denominators add up to nothing.
    """

    top: Floats
    bottom: Floats
    why: str


def mean_of(values: Floats, chosen: Floats, why: str) -> Ratio:
    """The mean of those `values` (samples,) where `chosen` is 1 and the value is defined."""
    counts = chosen * np.isfinite(values)
    return Ratio(np.where(counts > 0, values, 0.0), counts, why)


def estimates(ratios: Mapping[str, Ratio], *, draws: int, seed: int) -> dict[str, Estimate]:
    """Every ratio with its interval; all are redrawn together, so their differences are paired.

    Raises ConfigError if `draws` is not positive.
    """
    columns = [column for ratio in ratios.values() for column in (ratio.top, ratio.bottom)]
    table = np.stack(columns, axis=1)
    values, drawn = (
        _ratios(table.sum(0, keepdims=True)),
        _ratios(resampled_sums(table, draws, seed)),
    )
    return {
        name: estimate(values[0, k], drawn[:, k], int((ratio.bottom > 0).sum()), ratio.why)
        for k, (name, ratio) in enumerate(ratios.items())
    }


def estimate(value: float, drawn: Floats, samples: int, why: str) -> Estimate:
    """A value with the interval of its redrawn values (draws,), or `why` if it is not finite."""
    if not math.isfinite(value):
        return Estimate(value=None, samples=samples, why=why)
    interval = percentile_interval(drawn)
    return Estimate(
        value=float(value), low=_known(interval.low), high=_known(interval.high), samples=samples
    )


def _ratios(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios: Floats = sums[:, ::2] / sums[:, 1::2]
    return ratios


def _known(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None
