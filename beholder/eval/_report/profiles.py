"""Each checkpoint over the dimensions of a reward, on a scale that all dimensions share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from beholder._page.plots import Axis
from beholder.eval._report.columns import Columns, Floats
from beholder.eval._report.shown import Profile

FEWEST = 3
"""Dimensions of a radar: two make no area."""


def profiles(table: Columns, dimensions: Sequence[str]) -> list[Profile]:
    """A profile of each checkpoint; none for less than three dimensions or two checkpoints."""
    if len(dimensions) < FEWEST or len(table.groups) < 2:
        return []
    beaten = {name: beaten_shares(table.scores[name]) for name in dimensions}
    return [
        Profile(
            name=group,
            shares={n: _mean(beaten[n][table.checkpoints == k]) for n in dimensions},
            means={n: _mean(table.scores[n][table.checkpoints == k]) for n in dimensions},
        )
        for k, group in enumerate(table.groups)
    ]


def beaten_shares(values: Floats) -> Floats:
    """(n,) share of all finite values that each value beats, ties and itself half; NaN stays NaN.

    Their mean over one side's values is the probability that it beats a value drawn from all, as
    in Mann and Whitney (1947).
    """
    shares = np.full(len(values), math.nan)
    known = np.isfinite(values)
    _, place, count = np.unique(values[known], return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - count / 2
    shares[known] = middle[place] / max(known.sum(), 1)
    return shares


def profile_axis(shown: Sequence[Profile]) -> Axis:
    """Whole tenths around every share, so that differences show and no polygon is a point."""
    shares = [s for profile in shown for s in profile.shares.values() if math.isfinite(s)] or [0.5]
    low = max(math.floor(10 * min(shares) - 0.5), 0)
    high = min(max(math.ceil(10 * max(shares) + 1e-9), low + 2), 10)
    return Axis(low / 10, high / 10, tuple(k / 10 for k in range(low + 1, high + 1)))


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
