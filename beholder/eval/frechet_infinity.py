"""Fréchet distance at infinitely many generated pictures (Chong & Forsyth, CVPR 2020).

A Fréchet distance of n pictures is too large by nearly c/n, with a c of its own for each generator,
which can even turn an order round. A line through the distances at several n, over 1/n, meets
1/n = 0 at the distance without this bias. The real side stays whole, so its own bias remains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.eval._features import Array, Features
from beholder.eval._moments import (
    PLAIN,
    Given,
    Moments,
    check_ddof,
    matrix_of,
    moments,
    of_rows,
    of_statistics,
)
from beholder.eval.frechet import Frechet, distance
from beholder.eval.statistics import RunningStatistics

Floats = npt.NDArray[np.float64]
_LEAST = 2  # pictures of the smallest subset


@dataclass(frozen=True, slots=True, eq=False)
class FrechetInfinity:
    """The line through Fréchet distances of more and more pictures.

    Attributes:
        value: where it meets 1/n = 0.
        standard_error: of that, by the scatter of the points around the line. The subsets are
            nested, so this is how straight the points lie, not how far a new set would move them.
        slope: of the line over 1/n, about n times the bias at n.
        sizes: (points,), the numbers n of pictures.
        distances: (points,), the Fréchet distance of each.
        all_pictures: the distance of all of them.
    """

    value: float
    standard_error: float
    slope: float
    sizes: npt.NDArray[np.int64]
    distances: Floats
    all_pictures: Frechet


def frechet_infinity(
    real: Given,
    fake: Features | Tensor | npt.ArrayLike,
    *,
    points: int = 15,
    smallest: float = 0.1,
    ddof: int = 1,
    seed: int = 0,
) -> FrechetInfinity:
    """Fréchet distance extrapolated to infinitely many generated pictures.

    Args:
        real: features or statistics of what is imitated, used whole.
        fake: features (n, d) of what was generated.
        points: distances on the line; their sizes lie evenly over 1/n.
        smallest: share of the generated pictures in the smallest subset.
        ddof: 1 as in `np.cov`, 0 as in StyleGAN's code.
        seed: of the order in which pictures enter the subsets, each of which holds the last.

    Raises:
        DataError: if a side has NaNs or too few rows.
        ConfigError: if `points` is below 3, or `smallest` not between 0 and 1.
    """
    check_ddof(ddof)
    if points < 3:
        raise ConfigError(f"a line with an error needs 3 or more points, got {points}")
    if not 0 < smallest < 1:
        raise ConfigError(f"smallest is a share between 0 and 1, got {smallest}")
    matrix = matrix_of(fake, "fake")
    sizes = _sizes(len(matrix), points, smallest)
    whole = moments(real, ddof, "real")
    found = [distance(whole, part) for part in _growing(matrix, sizes, ddof, seed)]
    distances = np.array(found, dtype=np.float64)
    value, error, slope = _line(1 / sizes, distances)
    return FrechetInfinity(value, error, slope, sizes, distances, found[-1])


def _sizes(rows: int, points: int, smallest: float) -> npt.NDArray[np.int64]:
    """Sizes up to `rows`, evenly spaced in 1/n."""
    first = max(_LEAST, smallest * rows)
    sizes = np.unique(np.rint(1 / np.linspace(1 / first, 1 / rows, points)).astype(np.int64))
    if len(sizes) < points:
        raise DataError(
            f"{rows} generated pictures are too few for {points} sizes from {first:.0f} on; "
            "give more pictures or fewer points"
        )
    return sizes


def _growing(
    matrix: Array, sizes: npt.NDArray[np.int64], ddof: int, seed: int
) -> Iterator[Moments]:
    """Moments of the first pictures of a random order, for each size, in one pass over them."""
    order = np.random.default_rng(seed).permutation(len(matrix))
    running, done = RunningStatistics(PLAIN), 0
    for size in sizes:
        running.add(matrix[np.sort(order[done:size])])
        done = size
        if size <= matrix.shape[1]:
            yield of_rows(matrix[order[:size]], ddof)
        else:
            yield of_statistics(running.result(), ddof)


def _line(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Intercept of the least-squares line, its standard error, and the slope."""
    centred = x - x.mean()
    spread = float(centred @ centred)
    slope = float(centred @ y) / spread
    intercept = float(y.mean() - slope * x.mean())
    residual = y - intercept - slope * x
    variance = float(residual @ residual) / (len(x) - 2)
    return intercept, float(np.sqrt(variance * (1 / len(x) + x.mean() ** 2 / spread))), slope
