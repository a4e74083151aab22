"""Features of one side as they come in, kept whole or as sums, and mergeable over processes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from beholder.errors import DataError
from beholder.eval._features import Array, Features, checked_matrix
from beholder.eval._origin import Origin, check_same
from beholder.eval.statistics import Statistics

_WAITING = 1024
"""Rows that wait to become sums together, since a sum of few rows costs almost as much."""


class Gathered:
    """Features of the same pictures by one or several networks.

    Args:
        origins: what makes the features of each network.
        as_sums: keep number, mean and scatter, O(d²), rather than every row.
        mark: what stands after a row's number in its key: "#0" for clips, each a video of its own.
    """

    def __init__(self, origins: Sequence[Origin], *, as_sums: bool, mark: str = "") -> None:
        self.origins = tuple(origins)
        self.as_sums = as_sums
        self.mark = mark
        self.rows = 0
        self.labels: list[str] = []
        self._blocks: list[list[Array]] = [[] for _ in origins]
        self._sums: list[Statistics | None] = [None for _ in origins]
        self._waiting = 0

    def add(self, values: Sequence[Array], labels: Sequence[str] = ()) -> None:
        """Take in features (b, d) of each network, and the class of each row if it has one.

        Raises DataError if a value is NaN or infinite, or there are not as many labels as rows.
        """
        blocks = [checked_matrix(v, "a batch of features") for v in values]
        count = len(blocks[0])
        if len(labels) not in {0, count} or (bool(labels) != bool(self.labels) and self.rows):
            raise DataError(f"{count} pictures but {len(labels)} labels; give all of them one")
        for kept, block in zip(self._blocks, blocks, strict=True):
            kept.append(block)
        self.labels += labels
        self.rows += count
        self._waiting += count
        if self.as_sums and self._waiting >= _WAITING:
            self._fold()

    def empty(self) -> Gathered:
        """One of the same kind without rows."""
        return Gathered(self.origins, as_sums=self.as_sums, mark=self.mark)

    def merged(self, other: Gathered) -> Gathered:
        """The rows of both, these first.

        Raises DataError if they are of different origins, or only one has labels.
        """
        for mine, theirs in zip(self.origins, other.origins, strict=True):
            check_same(mine, theirs, unknown_agrees=True)
        if self.rows and other.rows and bool(self.labels) != bool(other.labels):
            raise DataError("one part has labels and the other has none")
        both = self.empty()
        both.rows = self.rows + other.rows
        both.labels = [*self.labels, *other.labels]
        both._blocks = [[*a, *b] for a, b in zip(self._blocks, other._blocks, strict=True)]
        both._sums = [_together(a, b) for a, b in zip(self._sums, other._sums, strict=True)]
        both._waiting = self._waiting + other._waiting
        return both

    def held(self, number: int) -> Features | Statistics:
        """What is known of a network's features; DataError if there are no rows."""
        if not self.rows:
            raise DataError("there are no pictures")
        if self.as_sums:
            self._fold()
            return cast("Statistics", self._sums[number])
        rows = np.concatenate(self._blocks[number])
        self._blocks[number] = [rows]
        return Features(rows, self.origins[number], self.keys)

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the rows."""
        return tuple(f"{row}{self.mark}" for row in range(self.rows))

    def labels_by_key(self) -> dict[str, str]:
        """The class of each row; empty if they have none."""
        return dict(zip(self.keys, self.labels, strict=True)) if self.labels else {}

    def arrays(self) -> dict[str, Array]:
        """All of it as plain arrays, which `restore` takes back."""
        made_by = [origin.as_dict() for origin in self.origins]
        found: dict[str, Array] = {"labels": _letters(self.labels), "origins": _letters(made_by)}
        for number in range(len(self.origins) if self.rows else 0):
            held = self.held(number)
            if isinstance(held, Features):
                found[f"{number}.features"] = held.values
            else:
                found[f"{number}.count"] = np.array(held.count)
                found[f"{number}.mean"], found[f"{number}.scatter"] = held.mean, held.scatter
        return found

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Forget everything, and hold what `arrays` gave.

        Raises DataError if it was kept otherwise, whole or as sums, or if other networks or another
        resize made it, naming both.
        """
        self._check_origins(arrays)
        whole = [name for name in arrays if name.endswith(".features")]
        is_empty = not any(name.startswith("0.") for name in arrays)
        if not is_empty and bool(whole) == self.as_sums:
            kept = ("features", "sums") if whole else ("sums", "features")
            raise DataError(f"the saved state holds {kept[0]}, but {kept[1]} are kept here")
        fresh = self.empty()
        fresh.labels = _read_letters(arrays["labels"])
        for number, origin in enumerate(() if is_empty else self.origins):
            if whole:
                fresh._blocks[number] = [arrays[f"{number}.features"]]
                fresh.rows = len(fresh._blocks[number][0])
            else:
                fresh.rows = int(arrays[f"{number}.count"])
                parts = (arrays[f"{number}.mean"], arrays[f"{number}.scatter"])
                fresh._sums[number] = Statistics(fresh.rows, *parts, origin)
        vars(self).update(vars(fresh))

    def _check_origins(self, arrays: Mapping[str, Array]) -> None:
        if "origins" not in arrays:
            raise DataError("the saved state does not say what made its features")
        saved = [Origin.from_dict(values) for values in _read_letters(arrays["origins"])]
        if len(saved) != len(self.origins):
            raise DataError(f"the saved state is of {len(saved)} networks, not {len(self.origins)}")
        for theirs, mine in zip(saved, self.origins, strict=True):
            if found := theirs.differences(mine):
                listed = "; ".join(f"{name}: {a} and {b}" for name, (a, b) in found.items())
                raise DataError(f"the saved state and this metric do not fit ({listed})")

    def _fold(self) -> None:
        for number, blocks in enumerate(self._blocks):
            if blocks:
                fresh = Statistics.of(np.concatenate(blocks), self.origins[number])
                self._sums[number] = _together(self._sums[number], fresh)
        self._blocks = [[] for _ in self.origins]
        self._waiting = 0


def _together(first: Statistics | None, second: Statistics | None) -> Statistics | None:
    if first is None or second is None:
        return first or second
    return first.merged(second)


def _letters(values: Sequence[object]) -> Array:
    return np.frombuffer(json.dumps(list(values)).encode(), np.uint8).copy()


def _read_letters(letters: Array) -> list[Any]:
    return list(json.loads(letters.tobytes().decode()))
