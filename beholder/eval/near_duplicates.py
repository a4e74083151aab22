"""Which pictures are nearly the same: as one another, or as those of an evaluation set.

`near_duplicates` keeps the best of what is alike: rows are visited from the highest priority to the
lowest, and one is dropped if its cosine to a row that was kept before reaches the threshold. A row
that is only like a dropped one stays.

Up to `EXACT_ROWS` rows every pair counts. Above, rows are sorted into cells by k-means and compared
inside their nearest `PROBES` cells only, in the manner of SemDeDup (A. Abbas et al., 2023), which
compares inside one: so some pairs are missed, the fewer the higher the threshold, and none that is
found is wrong. `method_for` says which it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError, DataError
from beholder.eval._cells import Cells, cells_of, one_cell
from beholder.eval._unit_rows import (
    Floats,
    Nearest,
    Places,
    UnitRows,
    checked_threshold,
    cosines,
)

EXACT_ROWS = 200_000
"""Rows up to which every pair is compared: of 384 values some five minutes on one core."""

PROBES = 4
"""Cells in which a row looks for its like."""

Method = Literal["exact", "cells"]
_BLOCK = 2048  # rows visited together
_OTHERS = 8192  # rows that a block is compared with at once


@dataclass(frozen=True, slots=True)
class Near:
    """The row that another is too like, and the cosine of the two, in (0, 1]."""

    of: int
    similarity: float


def method_for(rows: int) -> Method:
    """How `near_duplicates` compares so many rows: "exact" every pair, "cells" the likely ones."""
    return "exact" if rows <= EXACT_ROWS else "cells"


def near_duplicates(
    embeddings: npt.NDArray[Any],
    priority: npt.ArrayLike,
    threshold: float,
    *,
    method: str | None = None,
    seed: int = 0,
    block: int = _BLOCK,
) -> dict[int, Near]:
    """Each row to be dropped, with the most similar of the rows kept before it.

    Args:
        embeddings: rows (n, d) of length 1, float32; one with a NaN is like nothing.
        priority: a number for each row; of rows that are alike the highest is kept, of equals the
            first. NaN is the lowest.
        threshold: the least cosine, in (0, 1], at which two rows are alike.
        method: "exact" or "cells"; None is `method_for`.
        seed: of k-means.
        block: rows visited together; "exact" gives the same for any.

    Raises:
        ConfigError: if the threshold, the method or the block is out of range.
        DataError: if there is not one priority a row, or a row is not of length 1.
    """
    checked_threshold(threshold)
    rows = UnitRows(embeddings, "embeddings")
    order = _order(np.asarray(priority, dtype=np.float64), rows)
    cells = _cells(rows, method or method_for(len(order)), seed)
    kept = _Kept(rows, cells, order, threshold)
    found: dict[int, Near] = {}
    for at in _spans(len(order), block):
        found |= kept.visit(order[at])
    return dict(sorted(found.items()))


def contaminated(
    embeddings: npt.NDArray[Any],
    evaluation: npt.NDArray[Any],
    threshold: float,
    *,
    block: int = _BLOCK,
) -> dict[int, Near]:
    """Each row that is like a row of an evaluation set, with the most similar of those.

    Every pair is compared. Arguments and errors are those of `near_duplicates`; of equally similar
    evaluation rows the first is named.
    """
    checked_threshold(threshold)
    rows, others = UnitRows(embeddings, "embeddings"), UnitRows(evaluation, "evaluation")
    if embeddings.shape[1] != evaluation.shape[1]:
        raise DataError(
            f"the embeddings have {embeddings.shape[1]} values a row, those of the evaluation set "
            f"{evaluation.shape[1]}; make both with one embedder"
        )
    found: dict[int, Near] = {}
    for at in _spans(len(rows.known), block):
        places = rows.known[at]
        nearest = Nearest(rows, places, others, threshold)
        for to in _spans(len(others.known), _OTHERS):
            nearest.compare(np.arange(len(places)), others.known[to])
        found |= _named(places, *nearest.decided())
    return found


@dataclass
class _Kept:
    """The rows that were kept so far, by cell."""

    rows: UnitRows
    cells: Cells
    order: Places
    threshold: float
    rank: Places = field(init=False)
    members: dict[int, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rank = np.zeros(len(self.rows.values), np.int64)
        self.rank[self.order] = np.arange(len(self.order))

    def visit(self, places: Places) -> dict[int, Near]:
        """Decide on the next rows, in order; those that are dropped."""
        probed = self.cells.nearest(self.rows.values[places], PROBES)
        of, similarity = self._among_kept(places, probed)
        dropped = self._among_themselves(places, of, similarity)
        for place, cell in zip(
            places[~dropped].tolist(), probed[~dropped, 0].tolist(), strict=True
        ):
            self.members.setdefault(cell, []).append(place)
        return _named(places, of, similarity)

    def _among_kept(self, places: Places, probed: Places) -> tuple[Places, Floats]:
        nearest = Nearest(self.rows, places, self.rows, self.threshold)
        for cell in np.unique(probed).tolist():
            members = np.array(self.members.get(cell, []), np.int64)
            chosen = np.flatnonzero((probed == cell).any(axis=1))
            for to in _spans(len(members), _OTHERS):
                nearest.compare(chosen, members[to])
        return nearest.decided(self.rank)

    def _among_themselves(
        self, places: Places, of: Places, similarity: Floats
    ) -> npt.NDArray[np.bool_]:
        """Which rows of a block are dropped; what is nearer inside it replaces what was found."""
        rows, slack = self.rows.values[places], 2 * self.rows.slack
        products = np.tril(rows @ rows.T, -1)
        maybe = products >= np.float32(self.threshold - slack)
        dropped = of >= 0
        for row in np.flatnonzero(maybe.any(axis=1)):
            earlier = np.flatnonzero(maybe[row] & ~dropped)
            if not len(earlier):
                continue
            rough = products[row, earlier]
            earlier = earlier[rough >= rough.max() - 2 * slack]
            exact = cosines(
                self.rows, np.full(len(earlier), places[row]), self.rows, places[earlier]
            )
            best = int(exact.argmax())
            if exact[best] >= self.threshold:
                dropped[row] = True
                if exact[best] > similarity[row]:
                    of[row], similarity[row] = places[earlier[best]], exact[best]
        return dropped


def _named(places: Places, of: Places, similarity: Floats) -> dict[int, Near]:
    near = np.flatnonzero(of >= 0)
    return {int(places[k]): Near(int(of[k]), float(similarity[k])) for k in near}


def _order(priority: Floats, rows: UnitRows) -> Places:
    """Places of the known rows from the highest priority to the lowest, of equals the first."""
    if priority.shape != (len(rows.values),):
        raise DataError(
            f"there are {len(rows.values)} embeddings but priorities {priority.shape}; "
            "give one a row"
        )
    known = np.nan_to_num(priority[rows.known], nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    order: Places = rows.known[np.argsort(-known, kind="stable")]
    return order


def _cells(rows: UnitRows, method: str, seed: int) -> Cells:
    if method == "exact":
        return one_cell(rows.values.shape[1])
    if method != "cells":
        raise ConfigError(f'the method must be "exact" or "cells", got {method!r}')
    return cells_of(rows, max(1, math.isqrt(len(rows.known))), seed)


def _spans(size: int, block: int) -> Iterator[slice]:
    if block < 1:
        raise ConfigError(f"a block must have 1 or more rows, got {block}")
    return (slice(at, min(at + block, size)) for at in range(0, size, block))
