"""Isotonic regression of how often people prefer the first picture on its margin."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from beholder.errors import DataError
from beholder.eval._bootstrap import Floats


def pool_adjacent_violators(values: Floats, weights: Floats) -> Floats:
    """The never falling (n,) nearest to `values` by weighted squares (Ayer et al., 1955).

    Neighbours that fall are joined to their weighted mean until none does. Of all never falling
    sequences it has the least weighted log-loss too (Robertson, Wright & Dykstra, Order Restricted
    Statistical Inference, 1988, theorem 1.5.1).
    """
    sums: list[float] = []
    masses: list[float] = []
    sizes: list[int] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        total, mass, size = value * weight, weight, 1
        while sums and sums[-1] * mass >= total * masses[-1]:
            total, mass, size = total + sums.pop(), mass + masses.pop(), size + sizes.pop()
        sums.append(total)
        masses.append(mass)
        sizes.append(size)
    return np.repeat(np.array(sums) / np.array(masses), sizes)


def fit_isotonic(
    margin: Floats, p_first: Floats, weight: Floats | None = None, *, prior: float = 0.0
) -> tuple[Floats, Floats]:
    """Sizes of margins and the P at each, from (0, 1/2); the line through them is never falling.

    A pair and its mirror say the same, so P(-m) = 1 - P(m): every pair is turned so that its margin
    is positive, and P is at least 1/2. What lies below after pooling becomes 1/2, which is the best
    never falling sequence with that bound.

    Args:
        margin: of the pairs; those of 0 say nothing.
        p_first: share of people for the first picture, 1/2 for a tie.
        weight: how much each counts; None counts each once.
        prior: weight of one further pair at the largest margin on which people are divided, so that
            no P becomes 1, of which one opposite answer would cost an infinite log-loss.

    Raises:
        DataError: if no margin differs from 0, or people do not go with any.
    """
    turned = np.where(margin > 0, p_first, 1 - p_first)
    kept = margin != 0
    if not kept.any():
        raise DataError(f"the reward scores both pictures of each of {len(margin)} pairs equally")
    given = np.ones(len(margin)) if weight is None else weight
    sizes, at = np.unique(np.abs(margin[kept]), return_inverse=True)
    masses: Floats = np.bincount(at, given[kept]).astype(np.float64)
    sums: Floats = np.bincount(at, given[kept] * turned[kept]).astype(np.float64)
    masses[-1] += prior
    sums[-1] += prior / 2
    levels = np.maximum(pool_adjacent_violators(sums / masses, masses), 0.5)
    if levels[-1] <= 0.5:
        raise DataError(
            f"on these {len(margin)} pairs larger margins do not go with what people prefer, so "
            "no probability above 1/2 fits; give more pairs, look for answers that are reversed, "
            "or use another reward"
        )
    corners = _ends_of_runs(levels)
    return np.append(0.0, sizes[corners]), np.append(0.5, levels[corners])


def _ends_of_runs(levels: Floats) -> npt.NDArray[np.bool_]:
    """Which of the levels (n,) are the first or the last of equal ones."""
    rises = np.diff(levels) > 0
    ends: npt.NDArray[np.bool_] = np.append(True, rises) | np.append(rises, True)
    return ends
