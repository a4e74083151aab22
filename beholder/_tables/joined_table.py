"""Several score tables side by side, joined by key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from beholder._run_folder import Shard
from beholder._tables.sharded_table import ShardedTable
from beholder._tables.shards import INPUT_COLUMNS, unknown
from beholder._tables.stored_table import StoredTable, attach, refuse_repeats
from beholder.errors import ConfigError
from beholder.storage import Place

if TYPE_CHECKING:
    import pyarrow as pa

_KEY, _, _ = INPUT_COLUMNS


class JoinedTable(StoredTable):
    """The rows of one table with the scores that others have of them.

    Shards of runs whose plans have the same rows are joined one by one; of any other table the
    scores that are asked for are held in memory. A row that another table has not reads as pending.

    Raises ConfigError if two tables have scores of the same name.
    """

    def __init__(self, first: StoredTable, others: Sequence[StoredTable]) -> None:
        self._first, self._others = first, others
        self._owners: dict[str, StoredTable] = {}
        for table in (first, *others):
            for reward in table.rewards:
                if reward in self._owners:
                    raise ConfigError(
                        f"two of the tables hold scores of {reward!r}; score one of them again "
                        f"under another name, such as --reward {reward}_2={reward}"
                    )
                self._owners[reward] = table

    @override
    def __len__(self) -> int:
        return len(self._first)

    @property
    @override
    def rewards(self) -> list[str]:
        """Names of the rewards of all tables, in alphabetical order."""
        return sorted(self._owners)

    @property
    @override
    def columns(self) -> list[str]:
        """The first table's columns, then the scores of the others."""
        return [*self._first.columns, *(c for other in self._others for c in _scores(other))]

    @override
    def config(self, reward: str) -> dict[str, Any]:
        """What the scores of a reward were computed with."""
        return self._owners[reward].config(reward)

    @override
    def calibration(self, reward: str) -> Place:
        """Where the calibration of a reward is, if it has one."""
        return self._owners[reward].calibration(reward)

    @override
    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Each part of the first table with the other tables' columns.

        Raises:
            ConfigError: if a column is unknown.
            DataError: if a table is damaged, or a key is twice in it.
        """
        known = self.columns
        wanted = known if columns is None else list(columns)
        for name in wanted:
            if name not in known:
                raise ConfigError(unknown("column", name, known))
        asked = [[c for c in _scores(other) if c in wanted] for other in self._others]
        taken = {name for names in asked for name in names}
        own = list(dict.fromkeys([_KEY, *(name for name in wanted if name not in taken)]))
        columns_of_others = [
            _beside(self._first, other, names)
            for other, names in zip(self._others, asked, strict=True)
            if names
        ]
        for part in self._first.parts(own):
            whole = part
            for others in columns_of_others:
                whole = others.attach(whole)
            yield whole.select(wanted)


class _Beside(ABC):
    @abstractmethod
    def attach(self, part: pa.Table) -> pa.Table:
        """The next part with further columns."""


class _Held(_Beside):
    """Scores in memory, found by key."""

    def __init__(self, table: StoredTable, columns: Sequence[str]) -> None:
        import pyarrow as pa  # noqa: PLC0415

        self._scores = pa.concat_tables(list(table.parts([_KEY, *columns])))
        self._errors = _errors(table)
        refuse_repeats(self._scores, "a table that is joined")

    @override
    def attach(self, part: pa.Table) -> pa.Table:
        return attach(part, self._scores, self._errors)


class _InStep(_Beside):
    """The shards of a run of the same plan, each read when its turn comes."""

    def __init__(self, first: ShardedTable, other: ShardedTable, columns: Sequence[str]) -> None:
        self._there = {shard.name: shard for shard in other.shards}
        self._turns = iter(first.shards)
        self._schema = other.wanted([_KEY, *columns])
        self._other, self._errors = other, _errors(other)

    @override
    def attach(self, part: pa.Table) -> pa.Table:
        shard = self._there.get(next(self._turns).name)
        absent = self._schema.empty_table()
        scores = absent if shard is None else self._other.part(shard, self._schema)
        if scores[_KEY].equals(part[_KEY]):
            for name in scores.column_names[1:]:
                part = part.append_column(name, scores[name])
            return part
        refuse_repeats(scores, self._other.folder.place)
        return attach(part, scores, self._errors)


def _beside(first: StoredTable, other: StoredTable, columns: Sequence[str]) -> _Beside:
    if not (isinstance(first, ShardedTable) and isinstance(other, ShardedTable)):
        return _Held(other, columns)
    plans = [list(map(_rows_of, table.plan())) for table in (first, other)]
    return _InStep(first, other, columns) if plans[0] == plans[1] else _Held(other, columns)


def _rows_of(shard: Shard) -> Shard:
    """Which rows a shard has; a list is known by its contents, as each run has its own copy."""
    return replace(shard, source="") if shard.kind == "list" else shard


def _scores(table: StoredTable) -> list[str]:
    rewards = set(table.rewards)
    return [c for c in table.columns if "." in c and c.partition(".")[0] in rewards]


def _errors(table: StoredTable) -> set[str]:
    return {f"{reward}.error" for reward in table.rewards}
