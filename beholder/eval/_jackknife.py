"""Delete-a-group jackknife: how sure a figure of many rows is, from a few of its values.

Why not a bootstrap: drawing with replacement repeats rows, which lowers the rank of a covariance
and puts every row's nearest neighbour at distance 0. Fréchet distances and neighbour-based figures
of such draws lie far to one side of the figure itself. Leaving rows out does neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError
from beholder.eval._bootstrap import LEVEL

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_NEWTON = 12


@dataclass(frozen=True, slots=True)
class Deleted:
    """Values of a figure, each without one group of the rows of a side.

    Attributes:
        values: (groups,).
        sizes: (groups,), how many rows each group has.
    """

    values: Floats
    sizes: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Jackknife:
    """What the groups say of a figure.

    Attributes:
        bias: what the figure has too much at this number of rows; positive for a Fréchet distance.
        standard_error: of the figure.
        low, high: interval around the figure, by Student's t.
    """

    bias: float
    standard_error: float
    low: float
    high: float


def groups_of(rows: int, groups: int, seed: int = 0) -> list[Rows]:
    """Rows 0, 1, … dealt at random into groups of sizes that differ by one at most.

    Fewer groups if there are not as many rows, none for `groups` 0 or a single row. They are
    random since files often lie sorted by class. Raises ConfigError if `groups` is 1 or negative.
    """
    if groups < 0 or groups == 1:
        raise ConfigError(f"groups must be 0 (no interval) or 2 and more, got {groups}")
    if groups == 0 or rows < 2:
        return []
    order = np.random.default_rng(seed).permutation(rows)
    return [np.sort(part) for part in np.array_split(order, min(groups, rows))]


def groups_of_units(units: Sequence[str], groups: int, seed: int = 0) -> list[Rows]:
    """Rows dealt into groups as by `groups_of`, those of one unit always together.

    Clips of one video are alike: left out one by one they would make a figure look too sure.
    """
    distinct = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
    unit_of = np.array([distinct[unit] for unit in units], dtype=np.int64)
    dealt = groups_of(len(distinct), groups, seed)
    return [np.flatnonzero(np.isin(unit_of, some)) for some in dealt]


def jackknife(value: float, sides: Sequence[Deleted], level: float = LEVEL) -> Jackknife:
    """Bias, standard error and interval of a figure from its values without each group.

    Groups of different sizes are weighed as by Busing et al. (1999). The variances of sides that
    were drawn apart add up, with the degrees of freedom of Welch and Satterthwaite.
    """
    parts = [_bias_and_variance(value, side) for side in sides]
    bias = sum(part[0] for part in parts)
    variance = sum(part[1] for part in parts)
    freedom = sum(part[1] ** 2 / (len(s.values) - 1) for part, s in zip(parts, sides, strict=True))
    error = float(np.sqrt(variance))
    reach = error * student_t((1 + level) / 2, variance**2 / freedom) if error else 0.0
    return Jackknife(bias, error, value - reach, value + reach)


def _bias_and_variance(value: float, side: Deleted) -> tuple[float, float]:
    share = side.sizes / side.sizes.sum()
    groups = len(side.values)
    unbiased = groups * value - float(((1 - share) * side.values).sum())
    pseudo = value / share - (1 / share - 1) * side.values
    variance = float((np.square(pseudo - unbiased) / (1 / share - 1)).mean())
    return value - unbiased, variance


def student_t(probability: float, freedom: float) -> float:
    """Quantile of Student's t, for any `freedom` of 1 or more, also a broken one.

    With t = √freedom tan θ the density of θ goes as cos θ to the power freedom - 1: a smooth one on
    a finite range, even for one degree. Its integral is concave in θ, so that Newton's steps come
    to the quantile from the normal one, which is nearer to 0, without ever passing it.
    """
    log_whole = math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2) + math.log(math.pi) / 2
    wanted = (probability - 0.5) * math.exp(log_whole)
    theta = math.atan(NormalDist().inv_cdf(probability) / math.sqrt(freedom))
    for _ in range(_NEWTON):
        nodes = theta / 2 * (_NODES + 1)
        reached = theta / 2 * float(_WEIGHTS @ np.cos(nodes) ** (freedom - 1))
        theta += (wanted - reached) / math.cos(theta) ** (freedom - 1)
    return math.sqrt(freedom) * math.tan(theta)
