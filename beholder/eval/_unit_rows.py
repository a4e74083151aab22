"""Cosines of many unit rows: products in float32, decided in float64 where these cannot tell.

The float32 product of two rows of d values and length 1 is off by at most d u, u being the unit
roundoff (Higham, 2002, section 3.1), whatever the order of its sums. A pair that close to the
threshold, or to the best of its row, is computed again in float64, value by value: so the answer
depends neither on how rows are cut into blocks nor on threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError, DataError

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
_AT_ONCE = 512  # rows that are widened to float64 together
_FAR_FROM_UNIT = 1e-3


class UnitRows:
    """Rows (n, d) of length 1; rows with a NaN are nowhere.

    Attributes:
        values: as given, float32; may be a map of a file.
        squares: the squared lengths (n,), float64.
        known: places of the rows without NaN, ascending.
        slack: what a float32 product may differ from the cosine.

    Raises DataError if the values are no matrix of float32, or a row is not of length 1.
    """

    def __init__(self, values: npt.NDArray[Any], name: str) -> None:
        if values.ndim != 2 or values.dtype != np.float32:
            raise DataError(
                f"{name} must be rows (n, d) of float32, got {values.dtype} {values.shape}"
            )
        self.values: Array = values
        self.squares = self._squared()
        self.known: Places = np.flatnonzero(~np.isnan(self.squares))
        off = np.abs(np.sqrt(self.squares[self.known]) - 1)
        if len(off) and not off.max() <= _FAR_FROM_UNIT:
            row = self.known[off.argmax()]
            raise DataError(
                f"row {row} of {name} has length {np.sqrt(self.squares[row]):.4g}; "
                "divide each row by its length"
            )
        unit = float(np.finfo(np.float32).eps) / 2
        far = float(off.max()) if len(off) else 0.0
        self.slack = 1.1 * (values.shape[1] + 4) * unit + 2.5 * far

    def _squared(self) -> Floats:
        parts = [np.zeros(0)]
        for at in range(0, len(self.values), _AT_ONCE):
            wide = self.values[at : at + _AT_ONCE].astype(np.float64)
            parts.append((wide * wide).sum(axis=1))
        return np.concatenate(parts)


def cosines(left: UnitRows, i: Places, right: UnitRows, j: Places) -> Floats:
    """Cosines (pairs,) of rows `i` of one set and `j` of another, in float64.

    1 for equal rows, and the same digits for the same two rows wherever they stand.
    """
    found = np.empty(len(i))
    for at in range(0, len(i), _AT_ONCE):
        here = slice(at, at + _AT_ONCE)
        one = left.values[i[here]].astype(np.float64)
        found[here] = (one * right.values[j[here]]).sum(axis=1)
    lengths = np.sqrt(left.squares[i] * right.squares[j])
    together: Floats = np.minimum(found / lengths, 1.0)
    return together


class Nearest:
    """For each row of a block the most similar of the rows that it is compared with.

    Only what may reach the threshold is remembered.
    """

    def __init__(self, left: UnitRows, block: Places, right: UnitRows, threshold: float) -> None:
        self._left, self._block, self._right = left, block, right
        self._threshold = threshold
        self._slack = left.slack + right.slack
        self._rows = left.values[block]
        self._best = np.full(len(block), -np.inf, np.float32)
        self._found: list[tuple[Places, Places, Array]] = []

    def compare(self, chosen: Places, others: Places) -> None:
        """Compare the rows at `chosen` places of the block with `others` of the other set."""
        if not len(chosen) or not len(others):
            return
        whole = len(chosen) == len(self._block)
        rows = self._rows if whole else self._rows[chosen]
        products = rows @ self._right.values[others].T
        self._best[chosen] = np.maximum(self._best[chosen], products.max(axis=1))
        least = np.maximum(self._best[chosen], np.float32(self._threshold)) - 2 * self._slack
        i, j = np.nonzero(products >= least[:, None].astype(np.float32))
        if len(i):
            self._found.append((chosen[i], others[j], products[i, j]))

    def decided(self, rank: Places | None = None) -> tuple[Places, Floats]:
        """The place of each row's most similar other and the cosine; -1 and -inf if below.

        Among equals the one of lowest `rank`, or of the lowest place.
        """
        of = np.full(len(self._block), -1, np.int64)
        similarity = np.full(len(self._block), -np.inf)
        if not self._found:
            return of, similarity
        i, j, rough = (np.concatenate(parts) for parts in zip(*self._found, strict=True))
        likely = rough >= self._best[i] - 2 * self._slack
        i, j = i[likely], j[likely]
        exact = cosines(self._left, self._block[i], self._right, j)
        near = exact >= self._threshold
        i, j, exact = i[near], j[near], exact[near]
        order = np.lexsort((j if rank is None else rank[j], -exact, i))
        rows, first = np.unique(i[order], return_index=True)
        of[rows], similarity[rows] = j[order][first], exact[order][first]
        return of, similarity


def checked_threshold(threshold: float) -> float:
    """A cosine from which on two pictures count as one; ConfigError if it is not in (0, 1]."""
    if not 0 < threshold <= 1:
        raise ConfigError(f"a threshold of cosines lies in (0, 1], got {threshold}")
    return threshold
