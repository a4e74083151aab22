"""Which rows of a table a gallery shows when it cannot show all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError

KINDS = ("highest", "lowest", "nearest to the median", "random")
"""The rows of each checkpoint that are taken in turn."""

Rows = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int64] | npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What the choice depends on, row by row.

    Attributes:
        scores: (n,) the score that decides; a row without a finite one is never chosen.
        checkpoints: (n,) a number for each checkpoint.
        cells: (n,) a number for each prompt and seed: rows of one cell can be compared.
    """

    scores: npt.NDArray[np.float64]
    checkpoints: Codes
    cells: Codes


def choose(table: Scored, *, count: int, seed: int = 0, first: Sequence[int] = ()) -> Rows:
    """At most `count` rows, the most important first; all that have a score if they fit.

    After `first`, each checkpoint in turn gives its highest, its lowest, its median and a random
    row that is not chosen yet, each with the rows of its cell, so that checkpoints can be compared.
    The same table, count and seed choose the same rows. Raises ConfigError if count is below 1.
    """
    if count < 1:
        raise ConfigError(f"a gallery of {count} pictures; show 1 or more")
    finite = np.flatnonzero(np.isfinite(table.scores))
    chosen = dict.fromkeys(int(row) for row in first if np.isfinite(table.scores[row]))
    if len(finite) <= count:
        return _rows([*chosen, *finite.tolist()])
    for group in _cells_in_turn(table, finite, count, seed):
        fresh = [row for row in group if row not in chosen]
        chosen |= dict.fromkeys(fresh[: count - len(chosen)])
        if len(chosen) >= count:
            break
    return _rows(chosen)[:count]


def _rows(rows: Iterable[int]) -> Rows:
    """The rows without repeats, in order of their first mention."""
    return np.array(list(dict.fromkeys(map(int, rows))), dtype=np.int64)


def _cells_in_turn(table: Scored, finite: Rows, count: int, seed: int) -> Iterator[list[int]]:
    """A row and then the rest of its cell, for each checkpoint and kind in turn."""
    queues = _queues(table, finite, count, seed)
    order = finite[np.argsort(table.cells[finite], kind="stable")]
    cells = table.cells[order]
    for place in range(count):
        for queue in queues:
            if place < len(queue):
                row = int(queue[place])
                start = np.searchsorted(cells, table.cells[row], side="left")
                stop = np.searchsorted(cells, table.cells[row], side="right")
                yield [row, *order[start:stop].tolist()]


def _queues(table: Scored, finite: Rows, count: int, seed: int) -> list[Rows]:
    """The first `count` rows of each kind of each checkpoint; kinds are the outer loop."""
    chance = np.random.default_rng(seed)
    found: list[list[Rows]] = [[] for _ in KINDS]
    for checkpoint in np.unique(table.checkpoints[finite]):
        rows = finite[table.checkpoints[finite] == checkpoint]
        scores = table.scores[rows]
        middle = np.abs(scores - np.median(scores))
        for kind, order in enumerate((-scores, scores, middle)):
            found[kind].append(rows[np.argsort(order, kind="stable")[:count]])
        found[3].append(chance.permutation(rows)[:count])
    return [queue for kind in found for queue in kind]
