"""Estimates with 95 % intervals: Wilson's of a share, and bootstrap over tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

Z = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


UNDEFINED = Interval(math.nan, math.nan, math.nan)


def wilson(share: float, n: int) -> Interval:
    """95 % score interval of a share of `n` observations (Wilson, 1927); NaN if n is 0."""
    if n == 0:
        return UNDEFINED
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    low, high = max(centre - half, 0.0), min(centre + half, 1.0)
    return Interval(share, 0.0 if share == 0 else low, 1.0 if share == 1 else high)


def resampled(counts: Integers, draws: int, seed: int) -> Integers:
    """Bootstrap samples (draws, kinds) of as many tasks as `counts` holds.

    Tasks of one kind are exchangeable, so that a sample is how often each kind was drawn.
    """
    total = int(counts.sum())
    return np.random.default_rng(seed).multinomial(total, counts / total, size=draws)


def percentiles(value: float, sampled: Floats) -> Interval:
    """A value with the 2.5th and 97.5th percentile of its finite bootstrap values."""
    finite = sampled[np.isfinite(sampled)]
    if len(finite) == 0:
        return Interval(value, math.nan, math.nan)
    low, high = np.percentile(finite, [2.5, 97.5])
    return Interval(value, float(low), float(high))


def bootstrap_mean(values: Sequence[float], *, draws: int = 1000, seed: int = 0) -> Interval:
    """The mean of one value a task, with its percentile interval; NaN without any."""
    if not values:
        return UNDEFINED
    kinds, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
    sampled = resampled(counts, draws, seed) @ kinds / len(values)
    return percentiles(float(np.mean(values)), sampled)


def plain(value: object) -> object:
    """What `asdict` gave as plain JSON values; null where a number is not defined."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
