"""Cohen's kappa of every two annotators, and Fleiss' kappa of all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from beholder.annotation.trust.alpha import value_counts
from beholder.annotation.trust.intervals import (
    UNDEFINED,
    Floats,
    Integers,
    Interval,
    percentiles,
    resampled,
)

_DEFINED = 1e-12  # below it, the expected disagreement is rounding of zero


@dataclass(frozen=True, slots=True, kw_only=True)
class CohenPair:
    """Two annotators on the tasks that both answered: 1 perfect, 0 chance; NaN if undefined.

    Attributes:
        first, second: the annotators, by name.
        tasks: how many both answered.
        plain: every disagreement counts the same.
        linear, quadratic: a disagreement counts by the distance of its values, or its square.
    """

    first: str
    second: str
    tasks: int
    plain: Interval
    linear: Interval
    quadratic: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class CohenKappas:
    """Cohen's kappas of all pairs of annotators and their means, each pair counted by its tasks.

    A pair whose kappa is undefined does not count in the mean.
    """

    plain: Interval
    linear: Interval
    quadratic: Interval
    pairs: Sequence[CohenPair]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleissKappa:
    """Fleiss' kappa on the `tasks` tasks that exactly `raters` people answered."""

    kappa: Interval
    raters: int
    tasks: int


@dataclass(frozen=True, slots=True)
class _Meetings:
    """Every meeting of two annotators on a task, as a cell of its pair's table.

    Attributes:
        values: distinct values in order.
        pairs: pairs of annotators.
        unit: meeting -> kind of task; tasks with the same answers are of one kind.
        cell: meeting -> place in (pairs, values, values), flat.
        numbers: how many tasks of each kind there are.
    """

    values: Floats
    pairs: Sequence[tuple[str, str]]
    unit: Integers
    cell: Integers
    numbers: Integers

    def tables(self, weights: Integers) -> Floats:
        """How often each pair gave each two values (pairs, values, values)."""
        k = len(self.values)
        held = weights[self.unit].astype(np.float64)
        flat = np.bincount(self.cell, held, minlength=len(self.pairs) * k * k)
        return flat.reshape(-1, k, k).astype(np.float64)


def cohen_kappas(
    units: Sequence[Mapping[str, float]], *, draws: int = 0, seed: int = 0
) -> CohenKappas:
    """Kappas of every two annotators who share a task; a unit maps an annotator to a value.

    The intervals are percentiles over `draws` bootstrap samples of tasks, NaN without draws.
    Sources: Cohen, 1960, and 1968 (weighted); the mean over pairs follows Light, 1971.
    """
    meetings = _meet(units)
    if not meetings.pairs:
        return CohenKappas(plain=UNDEFINED, linear=UNDEFINED, quadratic=UNDEFINED, pairs=())
    distances = _distances(meetings.values)
    tables = meetings.tables(meetings.numbers)
    shared = tables.sum((1, 2))
    found = _with_mean(_kappas(tables, distances), shared)
    sampled = np.full((draws, *found.shape), math.nan)
    for draw, weights in enumerate(resampled(meetings.numbers, draws, seed)):
        drawn = meetings.tables(weights)
        sampled[draw] = _with_mean(_kappas(drawn, distances), drawn.sum((1, 2)))
    intervals = [
        [percentiles(float(found[w, p]), sampled[:, w, p]) for w in range(3)]
        for p in range(found.shape[1])
    ]
    pairs = [
        CohenPair(first=a, second=b, tasks=int(n), plain=k[0], linear=k[1], quadratic=k[2])
        for (a, b), n, k in zip(meetings.pairs, shared, intervals[:-1], strict=True)
    ]
    plain, linear, quadratic = intervals[-1]
    return CohenKappas(plain=plain, linear=linear, quadratic=quadratic, pairs=pairs)


def fleiss_kappa(units: Sequence[Sequence[float]], *, draws: int = 0, seed: int = 0) -> FleissKappa:
    """Fleiss' kappa on the units with the commonest number of values, two or more.

    Of equally common numbers the larger is taken; the other units do not count. NaN if all values
    are equal. Source: Fleiss, Psychological Bulletin 76, 1971.
    """
    sizes = Counter(len(unit) for unit in units if len(unit) > 1)
    if not sizes:
        return FleissKappa(kappa=UNDEFINED, raters=0, tasks=0)
    raters, tasks = max(sizes.items(), key=lambda item: (item[1], item[0]))
    _, counts = value_counts([unit for unit in units if len(unit) == raters])
    kinds, numbers = np.unique(counts, axis=0, return_counts=True)
    (kappa,) = _fleiss(kinds, numbers[None], raters)
    sampled = _fleiss(kinds, resampled(numbers, draws, seed), raters)
    return FleissKappa(kappa=percentiles(float(kappa), sampled), raters=raters, tasks=tasks)


def _fleiss(kinds: Integers, weights: Integers, raters: int) -> Floats:
    """Kappa of each sample (draws, kinds) of units (kinds, values)."""
    tasks = weights.sum(1)
    agreeing = (kinds * (kinds - 1)).sum(1) / (raters * (raters - 1))
    observed = weights @ agreeing / tasks
    expected = ((weights @ kinds / (raters * tasks[:, None])) ** 2).sum(1)
    return _ratio(1 - observed, 1 - expected)


def _meet(units: Sequence[Mapping[str, float]]) -> _Meetings:
    kinds = Counter(tuple(sorted(unit.items())) for unit in units if len(unit) > 1)
    values = sorted({value for kind in kinds for _, value in kind})
    place = {value: k for k, value in enumerate(values)}
    pairs: dict[tuple[str, str], int] = {}
    meetings: list[tuple[int, int]] = []
    for row, kind in enumerate(kinds):
        for (one, x), (other, y) in combinations(kind, 2):
            pair = pairs.setdefault((one, other), len(pairs))
            meetings.append((row, (pair * len(values) + place[x]) * len(values) + place[y]))
    unit, cell = np.array(meetings, dtype=np.int64).reshape(-1, 2).T
    numbers = np.array(list(kinds.values()), dtype=np.int64)
    return _Meetings(np.array(values, dtype=np.float64), list(pairs), unit, cell, numbers)


def _distances(values: Floats) -> Floats:
    """How much a disagreement counts: plain, linear, quadratic (3, values, values)."""
    apart = np.abs(values[:, None] - values[None, :])
    return np.stack([(apart > 0).astype(np.float64), apart, apart**2])


def _kappas(tables: Floats, distances: Floats) -> Floats:
    """Kappa = 1 - D_o / D_e of each table (3, pairs)."""
    n = np.maximum(tables.sum((1, 2)), 1)[:, None, None]
    expected = tables.sum(2)[:, :, None] * tables.sum(1)[:, None, :] / n
    observed = np.einsum("wij,pij->wp", distances, tables)
    return _ratio(observed, np.einsum("wij,pij->wp", distances, expected))


def _with_mean(kappas: Floats, tasks: Floats) -> Floats:
    """The kappas, and as a last column their mean weighted by tasks."""
    weights = np.where(np.isfinite(kappas), tasks, 0.0)
    total = weights.sum(1)
    mean = np.where(total > 0, (weights * np.nan_to_num(kappas)).sum(1), math.nan)
    return np.column_stack([kappas, mean / np.maximum(total, 1)])


def _ratio(observed: Floats, expected: Floats) -> Floats:
    """1 - observed / expected disagreement; NaN where none is expected."""
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa = 1 - observed / expected
    return np.where(expected > _DEFINED, kappa, math.nan)
