"""Reading the folder of a run that scores shard by shard as one table; see `_run_folder`.

Shards need not have the same columns. What columns there are is noted once for each set of them
under `_run/columns`, before the first shard that has it appears, so that 100,000 files need not be
opened to learn it. Without notes every footer is read.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from typing_extensions import override

from beholder._ahead import ahead
from beholder._run_folder import RUN, Run, RunFolder, Shard, is_done, read_footer
from beholder._tables.shards import INPUT_COLUMNS, common, conform, unknown
from beholder._tables.stored_table import StoredTable
from beholder.errors import ConfigError, DataError
from beholder.storage import Place

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_LOG = logging.getLogger(__name__)

THREADS = 16
"""Footers that are read at once."""

_KEY, _, _ = INPUT_COLUMNS
_ABSENT = "absent "  # before the noted type of a column without any cell
Types = dict[str, set[str]]
T = TypeVar("T")


class ShardedTable(StoredTable):
    """The finished shards of a run, in the order of its plan.

    Rows of shards that are not there yet are left out, with a warning that counts them. Shards that
    appear after the first question do not join in, so that two passes see the same rows, nor do new
    columns of those that were scored again.
    """

    def __init__(self, place: Place) -> None:
        self.folder = RunFolder(place)
        self._new: frozenset[str] = frozenset()

    @override
    def __len__(self) -> int:
        known = [shard.rows for shard in self.shards if shard.rows is not None]
        if len(known) == len(self.shards):
            return sum(known)
        return sum(_at_once(lambda shard: int(self._open(shard).metadata.num_rows), self.shards))

    @cached_property
    def run(self) -> Run:
        """What the run is."""
        return self.folder.run()

    @property
    @override
    def rewards(self) -> list[str]:
        """Names of its rewards, in alphabetical order."""
        return sorted(self.run.rewards)

    @property
    @override
    def columns(self) -> list[str]:
        """Names of the columns that any shard has, the inputs' first."""
        return list(self.schema.names)

    @override
    def config(self, reward: str) -> dict[str, Any]:
        """What the scores of a reward were computed with."""
        return dict(self.run.rewards[reward])

    @override
    def calibration(self, reward: str) -> Place:
        """Where the calibration of a reward is, if it has one."""
        return self.folder.place / RUN / "rewards" / reward / "calibration.json"

    def plan(self) -> list[Shard]:
        """Every shard, whether or not it is scored yet."""
        return list(self.folder.plan())

    @cached_property
    def shards(self) -> list[Shard]:
        """The shards whose scores are here, in order; DataError if there are none."""
        there = {name for name in self.folder.place.names() if name.endswith(".parquet")}
        plan = self.plan()
        found = [shard for shard in plan if f"{shard.name}.parquet" in there]
        if not found:
            raise DataError(f"{self.folder.place} has no scored shard yet; run `beholder score`")
        if len(found) < len(plan):
            _LOG.warning(
                "%s: %d of %d shards are not scored yet; their rows are left out",
                self.folder.place,
                len(plan) - len(found),
                len(plan),
            )
        return found

    @cached_property
    def schema(self) -> pa.Schema:
        """Every column that any shard has, with a type that holds all its cells."""
        shards = self.shards  # listed first: whatever is there was noted before
        types = _noted(self.folder) or _seen(_at_once(self._types, shards))
        return _ordered(types, self._open(shards[0]).schema_arrow.names, self.rewards)

    @override
    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Each shard in turn, absent cells null; threads read the next ones meanwhile.

        Raises:
            ConfigError: if a column is unknown.
            DataError: if a shard is damaged, or of other inputs or rewards than the run.
        """
        schema = self.wanted(columns)
        for _, part in ahead(
            lambda shard: self.part(shard, schema),
            self.shards,
            most=2,
            size=lambda part: int(part.nbytes),
            threads=4,
        ):
            yield part

    def wanted(self, columns: Sequence[str] | None) -> pa.Schema:
        """Some of the columns; ConfigError if one is unknown."""
        import pyarrow as pa  # noqa: PLC0415

        for name in columns or ():
            if name not in self.schema.names:
                raise ConfigError(unknown("column", name, self.schema.names))
        if columns is None:
            return self.schema
        return pa.schema([self.schema.field(name) for name in columns])

    def part(self, shard: Shard, schema: pa.Schema) -> pa.Table:
        """The columns of a shard that a schema asks for, null where it has none."""
        import pyarrow as pa  # noqa: PLC0415

        file = self._open(shard)
        names = file.schema_arrow.names
        strange = set(names) - set(self.schema.names)
        if strange - self._new:
            self._new = frozenset(_noted(self.folder))
        strange -= self._new
        if strange:
            raise DataError(
                f"{self.folder.scores(shard.name)} has the column {min(strange)!r}, which no note "
                f"names; delete {self.folder.place / RUN / 'columns'} to have every shard looked at"
            )
        try:
            read = file.read(columns=[n for n in schema.names if n in names] or [_KEY])
        except (pa.ArrowException, OSError) as error:
            raise DataError(self._damage(shard)) from error
        return conform(read, schema)

    def _open(self, shard: Shard) -> pq.ParquetFile:
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        place = self.folder.scores(shard.name)
        source = place.open() if place.is_remote else place.path
        try:
            file = pq.ParquetFile(source, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise DataError(self._damage(shard)) from error
        if not is_done(read_footer(file.schema_arrow), shard, self.run.config_hash):
            raise DataError(
                f"{place} is of other inputs or rewards than {self.folder.run_file()} says; "
                "move it away and run `beholder score` again"
            )
        return file

    def _types(self, shard: Shard) -> dict[str, str]:
        return _footer_types(self._open(shard))

    def _damage(self, shard: Shard) -> str:
        return (
            f"{self.folder.scores(shard.name)} is damaged or no parquet file; delete it and run "
            "`beholder score` again"
        )


def note_columns(folder: RunFolder, part: pa.Table) -> None:
    """Note which columns a shard will have; call it before the shard appears.

    Shards of the same columns share a note, so that a run has few of them.
    """
    said = {
        column.name: _kind(column.type, part[column.name].null_count == len(part))
        for column in part.schema
    }
    text = json.dumps(said, indent=2)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    note = folder.place / RUN / "columns" / f"{name}.json"
    if not note.exists():
        note.write(text.encode())


def _noted(folder: RunFolder) -> Types:
    notes = folder.place / RUN / "columns"
    return _seen(_read_note(notes / name) for name in notes.names() if name.endswith(".json"))


def _read_note(note: Place) -> dict[str, str]:
    try:
        said = json.loads(note.read())
    except ValueError as error:
        raise DataError(f"{note} is damaged: {error}; delete its folder") from error
    return {str(name): str(kind) for name, kind in dict(said).items()}


def _footer_types(file: pq.ParquetFile) -> dict[str, str]:
    """What `note_columns` would note, as far as the footer tells which cells are absent."""
    absent: Counter[str] = Counter()
    groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
    for column in (group.column(k) for group in groups for k in range(group.num_columns)):
        if column.statistics is not None and column.statistics.has_null_count:
            absent[column.path_in_schema] += column.statistics.null_count
    rows = file.metadata.num_rows
    return {c.name: _kind(c.type, absent[c.name] == rows) for c in file.schema_arrow}


def _kind(kind: pa.DataType, is_absent: bool) -> str:
    return f"{_ABSENT if is_absent else ''}{kind}"


def _seen(each: Iterable[Mapping[str, str]]) -> Types:
    found: Types = {}
    for types in each:
        for name, kind in types.items():
            found.setdefault(name, set()).add(kind)
    return found


def _ordered(types: Types, first: Sequence[str], rewards: Sequence[str]) -> pa.Schema:
    """The inputs' columns, then those of each reward; new ones of later shards by name."""
    import pyarrow as pa  # noqa: PLC0415

    names = [*first, *sorted(set(types) - set(first))]

    def place(name: str) -> int:
        owner, dot, _ = name.partition(".")
        return rewards.index(owner) if dot and owner in rewards else -1

    return pa.schema([(name, _type(types[name])) for name in sorted(names, key=place)])


def _type(kinds: set[str]) -> pa.DataType:
    """One type of the noted ones; those without a cell count only if there is no other."""
    import pyarrow as pa  # noqa: PLC0415

    given = {kind for kind in kinds if not kind.startswith(_ABSENT)} or kinds
    return common({pa.type_for_alias(kind.removeprefix(_ABSENT)) for kind in given})


def _at_once(work: Callable[[Shard], T], shards: Sequence[Shard]) -> Iterator[T]:
    with ThreadPoolExecutor(THREADS) as pool:
        yield from pool.map(work, shards)
