"""Fréchet distance of two sets of features, in float64, by the branch that is exact for them.

|FD|: ‖μ₁ - μ₂‖² + tr S₁ + tr S₂ - 2 tr (S₁S₂)^½, the squared 2-Wasserstein distance of two normal
distributions (Dowson & Landau, 1982); of Inception features it is the FID (Heusel et al., 2017).
It is biased upward by about 1/n, so figures compare at one number of pictures only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from beholder.errors import DataError
from beholder.eval._features import Array, Features, checked_matrix
from beholder.eval._jackknife import Deleted, Jackknife, Rows, groups_of, groups_of_units, jackknife
from beholder.eval._moments import (
    PLAIN,
    Branch,
    Given,
    Moments,
    check_ddof,
    coupling,
    moments,
    of_rows,
    of_statistics,
)
from beholder.eval._origin import check_same
from beholder.eval.statistics import Statistics


class Frechet(float):
    """A Fréchet distance; a float that also says how it came about.

    By rounding it may be negative, by far less than 1e-9 of the traces.

    Attributes:
        mean_term: ‖μ₁ - μ₂‖².
        trace_term: tr S₁ + tr S₂ - 2 tr (S₁S₂)^½.
        branch: "gram" (features of few rows), "cholesky", or "eigh", which alone loses digits.
        rank: of S₁S₂.
    """

    mean_term: float
    trace_term: float
    branch: Branch
    rank: int

    def __new__(cls, mean_term: float, trace_term: float, branch: Branch, rank: int) -> Frechet:
        """The sum of both terms."""
        found = super().__new__(cls, mean_term + trace_term)
        found.mean_term, found.trace_term = mean_term, trace_term
        found.branch, found.rank = branch, rank
        return found

    def __getnewargs__(self) -> tuple[Any, ...]:  # so that it can be copied and pickled
        return self.mean_term, self.trace_term, self.branch, self.rank


def from_features(first: Given, second: Given, *, ddof: int = 1) -> Frechet:
    """Fréchet distance of features (n, d) and (m, d), each a matrix or a `Features`.

    A side may also be `Statistics`: of the other side features are still worth giving where they
    are few, since their covariance then has no full rank.

    Args:
        first: of one side, in any float type; sums are float64.
        second: of the other side.
        ddof: 1 as in `np.cov` and published FIDs, 0 as in StyleGAN's code.

    Raises:
        DataError: if a side has NaNs, no more than `ddof` rows or another width, or if the two
            sides say that they were made differently.
    """
    check_ddof(ddof)
    if isinstance(first, Features | Statistics) and isinstance(second, Features | Statistics):
        check_same(first.origin, second.origin, unknown_agrees=True)
    return distance(moments(first, ddof, "first"), moments(second, ddof, "second"))


def from_statistics(first: Statistics, second: Statistics, *, ddof: int = 1) -> Frechet:
    """Fréchet distance of two sets of which only statistics are kept.

    Raises DataError if they are of different origins, or if `ddof` is 0 and a count unknown.
    """
    return from_features(first, second, ddof=ddof)


def distance(first: Moments, second: Moments) -> Frechet:
    """Fréchet distance of two sides' moments; DataError if they are of different widths."""
    if first.mean.shape != second.mean.shape:
        raise DataError(
            f"features of {len(first.mean)} and of {len(second.mean)} values have no distance: "
            "give both sides of one layer"
        )
    coupled = coupling(first, second)
    apart = float(np.square(first.mean - second.mean).sum())
    trace = first.variance + second.variance - 2 * coupled.trace
    return Frechet(apart, trace, coupled.branch, coupled.rank)


def with_interval(
    first: Features | Statistics,
    second: Features | Statistics,
    *,
    ddof: int = 1,
    groups: int = 10,
    seed: int = 0,
    unit: Callable[[str], str] | None = None,
) -> tuple[Frechet, Jackknife | None, tuple[int, int]]:
    """Fréchet distance, its delete-a-group jackknife, and of how many groups of each side.

    It costs `groups` more distances a side. A side of which only statistics are known has no
    groups; there is no jackknife if neither has any, or if `groups` is 0. Origins are not compared.

    Args:
        first: of one side.
        second: of the other.
        ddof: as in `from_features`.
        groups: into which the pictures of a side are dealt; 0 for no interval.
        seed: of the dealing.
        unit: of a row's key, what it is part of, such as the video of a clip: rows of one unit go
            into one group. None lets each row stand for itself.

    Raises:
        DataError: as `from_features` does.
        ConfigError: if `ddof` or `groups` is out of range.
    """
    check_ddof(ddof)
    whole_first, parts_first, sizes_first = _divided(first, ddof, groups, seed, unit)
    whole_second, parts_second, sizes_second = _divided(second, ddof, groups, seed + 1, unit)
    value = distance(whole_first, whole_second)
    deleted = [
        _deleted(parts_first, sizes_first, whole_second),
        _deleted(parts_second, sizes_second, whole_first),
    ]
    redrawn = [side for side in deleted if len(side.values)]
    sure = jackknife(value, redrawn) if redrawn else None
    return value, sure, (len(parts_first), len(parts_second))


Part = Callable[[], Moments]


def _deleted(parts: Sequence[Part], sizes: Sequence[int], other: Moments) -> Deleted:
    # the other side comes first: its Cholesky factor serves all parts
    values = np.array([float(distance(other, part())) for part in parts])
    return Deleted(values, np.array(sizes, dtype=np.int64))


def _divided(
    given: Features | Statistics,
    ddof: int,
    groups: int,
    seed: int,
    unit: Callable[[str], str] | None,
) -> tuple[Moments, list[Part], list[int]]:
    """Moments of a side, those without each group of its rows, made when asked for, and sizes."""
    if isinstance(given, Statistics):
        return of_statistics(given, ddof), [], []
    matrix = checked_matrix(given.values, "features", least=ddof + 1)
    dealt = (
        groups_of_units([unit(key) for key in given.keys], groups, seed)
        if unit and given.keys
        else groups_of(len(matrix), groups, seed)
    )
    dealt = dealt if len(matrix) - max(map(len, dealt), default=0) > ddof else []
    sizes = [len(rows) for rows in dealt]
    if not dealt:
        return moments(given, ddof), [], []
    if len(matrix) <= matrix.shape[1]:
        return of_rows(matrix, ddof), [_few(matrix, rows, ddof) for rows in dealt], sizes
    shares = [Statistics.of(matrix[rows], PLAIN) for rows in dealt]
    total = shares[0]
    for share in shares[1:]:
        total = total.merged(share)
    parts = [
        _few(matrix, rows, ddof)
        if len(matrix) - len(rows) <= matrix.shape[1]
        else _rest(total, share, ddof)
        for rows, share in zip(dealt, shares, strict=True)
    ]
    return of_statistics(total, ddof), parts, sizes


def _few(matrix: Array, left_out: Rows, ddof: int) -> Part:
    return lambda: of_rows(np.delete(matrix, left_out, axis=0), ddof)


def _rest(total: Statistics, left_out: Statistics, ddof: int) -> Part:
    return lambda: of_statistics(total.without(left_out), ddof)
