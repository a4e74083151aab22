"""Krippendorff's alpha and percent agreement of values by unit, such as answers by task."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Literal

import numpy as np

from beholder.annotation.trust.intervals import (
    UNDEFINED,
    Floats,
    Integers,
    Interval,
    percentiles,
    resampled,
)
from beholder.errors import DataError

Level = Literal["nominal", "ordinal", "interval"]


def krippendorff_alpha(
    units: Sequence[Sequence[float]],
    level: Level = "nominal",
    *,
    tasks: Sequence[Hashable] | None = None,
    draws: int = 0,
    seed: int = 0,
) -> Interval:
    """Krippendorff's alpha = 1 - D_o / D_e of values by unit; a missing value is left out.

    Units with fewer than two values do not count. The interval is the 2.5th to 97.5th percentile
    over `draws` bootstrap samples of tasks, NaN without draws; `tasks` names each unit's task,
    without it every unit is one. alpha is NaN where D_e is 0.
    Source: Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, sections C to E.
    """
    pairable = [k for k, unit in enumerate(units) if len(unit) > 1]
    if not pairable:
        return UNDEFINED
    values, counts = value_counts([units[k] for k in pairable])
    (alpha,) = _alphas(_summed_coincidences(counts)[None], values, level)
    if draws == 0:
        return Interval(float(alpha), math.nan, math.nan)
    kinds, kind = np.unique(counts, axis=0, return_inverse=True)  # equal units are exchangeable
    coincidences = _coincidences(kinds)
    names = pairable if tasks is None else [tasks[k] for k in pairable]
    contents, numbers = np.unique(_by_task(names, kind, len(kinds)), axis=0, return_counts=True)
    weights = resampled(numbers, draws, seed) @ contents
    return percentiles(float(alpha), _alphas(_weighted(weights, coincidences), values, level))


def percent_agreement(units: Sequence[Sequence[float]]) -> float:
    """Share of agreeing pairs of values, mean over units with two or more; NaN without any."""
    shares = [agreeing_share(unit) for unit in units if len(unit) > 1]
    return float(np.mean(shares)) if shares else math.nan


def agreeing_share(unit: Sequence[float]) -> float:
    """Share of agreeing pairs among a unit's two or more values."""
    agreeing = sum(n * (n - 1) for n in Counter(unit).values())
    return agreeing / (len(unit) * (len(unit) - 1))


def value_counts(units: Sequence[Sequence[float]]) -> tuple[Floats, Integers]:
    """Distinct values in order, and how often each stands in each unit (units, values).

    Raises DataError if a value is not finite.
    """
    sizes = np.fromiter(map(len, units), dtype=np.int64, count=len(units))
    given = np.fromiter(chain.from_iterable(units), dtype=np.float64, count=int(sizes.sum()))
    values, column = np.unique(given, return_inverse=True)
    if not np.isfinite(values).all():
        raise DataError("agreement needs finite values; leave a missing answer out")
    cell = np.repeat(np.arange(len(units)) * len(values), sizes) + column
    counts = np.bincount(cell, minlength=len(units) * len(values))
    return values, counts.astype(np.int64).reshape(len(units), len(values))


def _by_task(names: Sequence[Hashable], kind: Integers, kinds: int) -> Integers:
    """How many units of each kind every task has (tasks, kinds)."""
    row = {name: k for k, name in enumerate(dict.fromkeys(names))}
    held = np.zeros((len(row), kinds), dtype=np.int64)
    np.add.at(held, (np.array([row[name] for name in names]), kind), 1)
    return held


def _coincidences(counts: Integers) -> Floats:
    """Each unit's coincidences o_ck (units, values, values)."""
    pairs = counts[:, :, None] * counts[:, None, :].astype(np.float64)
    diagonal = np.arange(counts.shape[1])
    pairs[:, diagonal, diagonal] -= counts
    return np.asarray(pairs / (counts.sum(1) - 1)[:, None, None], dtype=np.float64)


def _summed_coincidences(counts: Integers) -> Floats:
    """The sum of all units' coincidences o_ck (values, values)."""
    shares = counts / (counts.sum(1) - 1)[:, None]
    return np.asarray(shares.T @ counts - np.diag(shares.sum(0)), dtype=np.float64)


def _weighted(weights: Integers, coincidences: Floats) -> Floats:
    """Sums of coincidences (draws, values, values), each kind of unit as often as drawn."""
    return np.tensordot(weights.astype(np.float64), coincidences, axes=1).astype(np.float64)


def _alphas(coincidences: Floats, values: Floats, level: Level) -> Floats:
    """Alpha of each coincidence matrix (draws, values, values)."""
    totals = coincidences.sum(2)
    n = totals.sum(1)
    distance = _squared_distance(totals, values, level)
    observed = (coincidences * distance).sum((1, 2))
    expected = (totals[:, :, None] * totals[:, None, :] * distance).sum((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        alpha = 1 - (n - 1) * observed / expected
    return np.where(expected > 0, alpha, math.nan)


def _squared_distance(totals: Floats, values: Floats, level: Level) -> Floats:
    """delta^2 between values (draws, values, values); the ordinal one counts ranks between."""
    if level == "nominal":
        return np.broadcast_to(1 - np.eye(len(values)), (len(totals), len(values), len(values)))
    if level == "interval":
        scale = np.broadcast_to(values, totals.shape)
    else:
        scale = totals.cumsum(1) - totals / 2
    return np.asarray((scale[:, :, None] - scale[:, None, :]) ** 2, dtype=np.float64)
