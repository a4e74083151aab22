"""How closely predicted scores follow people's: Pearson's and Spearman's correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import Floats
from beholder.eval._estimate import Estimate, estimate

_CONSTANT = "the {} are all equal, so they correlate with nothing"


def correlations(
    predicted: Sequence[float] | Floats,
    truth: Sequence[float] | Floats,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Pearson's "plcc" and Spearman's "srcc" (equal values share their mean rank), in [-1, 1].

    Intervals redraw pictures; redrawn ones are ranked anew, and draws that are constant are left
    out. The value is None, with the reason, for constant numbers or less than two pictures.

    Raises:
        ConfigError: if `draws` is not positive.
        DataError: if the lengths differ or a number is not finite.
    """
    if draws < 1:
        raise ConfigError(f"a bootstrap needs 1 or more draws, got {draws}")
    x, y = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    _check(x, y)
    if why := _undefined(x, y):
        nothing = Estimate(value=None, samples=len(x), why=why)
        return {"plcc": nothing, "srcc": nothing}
    generator = np.random.default_rng(seed)
    codes = [np.unique(values, return_inverse=True)[1] for values in (x, y)]
    everything = np.arange(len(x))
    drawn = np.array(
        [_both(x, y, codes, generator.integers(len(x), size=len(x))) for _ in range(draws)]
    )
    values = _both(x, y, codes, everything)
    return {
        name: estimate(values[k], drawn[:, k], len(x), "")
        for k, name in enumerate(("plcc", "srcc"))
    }


def pearson(x: Floats, y: Floats) -> float:
    """Pearson's correlation of two series (n,); NaN if one is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    a, b = x - x.mean(), y - y.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def mean_ranks(codes: npt.NDArray[np.int64]) -> Floats:
    """Ranks from 1 of whole numbers (n,) from 0; equal ones share the mean of their places."""
    counts = np.bincount(codes)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[codes]
    return ranks


def _both(
    x: Floats, y: Floats, codes: Sequence[npt.NDArray[np.int64]], rows: npt.NDArray[np.int64]
) -> tuple[float, float]:
    ranks = [mean_ranks(code[rows]) for code in codes]
    return pearson(x[rows], y[rows]), pearson(*ranks)


def _check(x: Floats, y: Floats) -> None:
    if x.ndim != 1 or x.shape != y.shape:
        raise DataError(
            f"predictions of shape {x.shape} and truths of shape {y.shape}; give one number of "
            "each for every picture"
        )
    for name, values in (("predicted", x), ("true", y)):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise DataError(
                f"the {name} value {values[bad[0]]} at row {bad[0]} is not finite "
                f"({len(bad)} in all); leave such pictures out and count them"
            )


def _undefined(x: Floats, y: Floats) -> str:
    if len(x) < 2:
        return f"a correlation needs two or more pictures, there are {len(x)}"
    for name, values in (("predictions", x), ("true values", y)):
        if np.ptp(values) == 0:
            return _CONSTANT.format(name)
    return ""
