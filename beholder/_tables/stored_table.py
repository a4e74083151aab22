"""A score table as it lies in a folder, and how scores are joined to rows by key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from beholder._tables.shards import INPUT_COLUMNS, PENDING
from beholder.errors import DataError
from beholder.storage import Place

if TYPE_CHECKING:
    import pyarrow as pa

_KEY, _, _ = INPUT_COLUMNS


class StoredTable(ABC):
    """A table that can be read part by part."""

    @abstractmethod
    def __len__(self) -> int:
        """How many rows there are."""

    @property
    @abstractmethod
    def rewards(self) -> list[str]:
        """Names of the rewards whose scores are here, in alphabetical order."""

    @property
    @abstractmethod
    def columns(self) -> list[str]:
        """Names of all columns, the inputs' first; DataError if there is no table here."""

    @abstractmethod
    def config(self, reward: str) -> dict[str, Any]:
        """What the scores of a reward were computed with."""

    @abstractmethod
    def calibration(self, reward: str) -> Place:
        """Where the calibration of a reward is; there need not be one."""

    @abstractmethod
    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Each part in turn, all of one schema.

        Raises:
            ConfigError: if a column is unknown.
            DataError: if there is no table here, or a file is damaged or not ours.
        """


def attach(part: pa.Table, scores: pa.Table, errors: Collection[str]) -> pa.Table:
    """Rows with the scores of their keys; without any, null and in an error column `PENDING`."""
    import pyarrow.compute as pc  # noqa: PLC0415

    at = pc.index_in(part[_KEY], value_set=scores[_KEY].combine_chunks())
    for name in scores.column_names:
        if name != _KEY:
            column = scores[name].take(at)
            if name in errors:
                column = pc.if_else(pc.is_null(at), PENDING, column)
            part = part.append_column(name, column)
    return part


def refuse_repeats(table: pa.Table, where: object) -> None:
    """Raise DataError if a key is there twice."""
    counts = table[_KEY].value_counts()
    if len(counts) < len(table):
        twice = next(c["values"].as_py() for c in counts if c["counts"].as_py() > 1)
        raise DataError(f"{where}: key {twice!r} occurs more than once; the table is damaged")
