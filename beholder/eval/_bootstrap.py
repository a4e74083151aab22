"""Bootstrap intervals over groups: whole prompts are redrawn, since their pictures go together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError

Floats = npt.NDArray[np.float64]
LEVEL = 0.95
"""Share of the draws inside every interval that is reported."""
_CELLS = 2**18  # counts that are held at once: what a processor's cache holds is twice as fast


@dataclass(frozen=True, slots=True)
class Interval:
    """A bootstrap interval; NaN where nothing could be redrawn."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies inside; an unknown interval holds everything."""
        return not (value < self.low or value > self.high)

    def as_dict(self) -> dict[str, float]:
        """The same as plain JSON-ready values."""
        return {"low": self.low, "high": self.high}


def resampled_sums(values: Floats, draws: int, seed: int) -> Floats:
    """Sums (draws, k) over groups drawn with replacement from the rows of `values` (groups, k).

    Each draw takes as many groups as there are (Efron, 1979). All columns share the draws, so
    differences of columns are paired. Raises ConfigError if `draws` is not positive.
    """
    if draws < 1:
        raise ConfigError(f"a bootstrap needs 1 or more draws, got {draws}")
    generator = np.random.default_rng(seed)
    groups = len(values)
    chunk = max(1, _CELLS // max(1, groups))
    sums = [
        _counts(generator, min(chunk, draws - at), groups) @ values for at in range(0, draws, chunk)
    ]
    return np.concatenate(sums)


def percentile_interval(samples: Floats, level: float = LEVEL) -> Interval:
    """The central part of samples (draws,) that holds a share of `level`; NaN samples are left out.

    Raises ConfigError if `level` is not inside (0, 1).
    """
    if not 0 < level < 1:
        raise ConfigError(f"the level of an interval must lie in (0, 1), got {level}")
    finite = samples[np.isfinite(samples)]
    if not len(finite):
        return Interval(np.nan, np.nan)
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _counts(generator: np.random.Generator, draws: int, groups: int) -> Floats:
    """How often each group was drawn, (draws, groups)."""
    if not groups:
        return np.zeros((draws, 0))
    drawn = generator.integers(groups, size=(draws, groups))
    drawn += np.arange(draws)[:, None] * groups
    counts = np.bincount(drawn.ravel(), minlength=draws * groups)
    return counts.reshape(draws, groups).astype(np.float64)
