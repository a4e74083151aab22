"""Score tables: folders of parquet shards, one row for each picture, that grow and never tear.

A table keeps its inputs and the scores of each reward apart and joins them by key when read:

    scores/inputs/00000000.parquet         key, image, prompt and every further manifest column
    scores/rewards/mps/00000000.parquet    key, mps.total, mps.<aspect> ..., mps.error

So another reward is added without touching what is there, and a run that was killed leaves whole
shards only. A row's `<reward>.error` is null and its numbers are finite, or it says "code: why"
and its numbers are null; a picture that a reward has not reached yet reads as "pending: ...".

The folder of a run that scores shard by shard (`_run_folder`) reads as a table too.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beholder._lock import only_writer
from beholder._notebook.sheet import Sheet
from beholder._tables.appended_table import AppendedTable
from beholder._tables.first_rows import first_rows
from beholder._tables.joined_table import JoinedTable
from beholder._tables.sharded_table import ShardedTable
from beholder._tables.shards import INPUT_COLUMNS, check_free, storable
from beholder._tables.shards import PENDING as PENDING
from beholder._tables.shards import unknown as unknown
from beholder._tables.stored_table import StoredTable
from beholder.calibration import FILE as CALIBRATION
from beholder.errors import ConfigError, DataError
from beholder.storage import Place

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_LOG = logging.getLogger(__name__)

KEY, IMAGE, PROMPT = INPUT_COLUMNS
_NO_SCORES = {"error", "win", "misaligned_words", "misaligned_share"}


class ScoreTable:
    """Scores of one list of pictures by any number of rewards, in a folder.

    Rows read back in the order in which they were first written; of a run that scores shard by
    shard in the order of its plan. Reading is safe while another process writes.

    Args:
        folder: where `beholder score` wrote; that of such a run may be an address, as "s3://...".
        also: folders with further scores of the same rows, found by key.

    Attributes:
        address: the folder as it was given.
        folder: its path, where it is on this disk.
    """

    def __init__(
        self, folder: str | os.PathLike[str], also: Sequence[str | os.PathLike[str]] = ()
    ) -> None:
        self.address = os.fspath(folder)
        self.folder = Path(folder)
        self._appended = AppendedTable(self.folder)
        self._sharded = ShardedTable(Place(folder))
        self._also = [ScoreTable(other) for other in also]

    def __len__(self) -> int:
        return len(self._stored())

    def __repr__(self) -> str:
        return f"ScoreTable({self.address!r})"

    def _repr_html_(self) -> str:
        return self._sheet(pictures=True).html()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self) if cycle else self._sheet(pictures=False).text())

    @property
    def rewards(self) -> list[str]:
        """Names of the rewards whose scores are here, in alphabetical order."""
        return self._stored().rewards

    @property
    def columns(self) -> list[str]:
        """Names of all columns, the inputs' first; DataError if there is no table here."""
        return self._stored().columns

    def config(self, reward: str) -> dict[str, Any]:
        """What the scores of a reward were computed with; ConfigError if it is not here."""
        if reward not in self.rewards:
            raise ConfigError(unknown("reward", reward, self.rewards))
        return self._stored().config(reward)

    def calibration(self, reward: str) -> Place:
        """Where the calibration of a reward is; there need not be one."""
        return self._stored().calibration(reward)

    def parts(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The table in order, about a shard at a time, all parts of one schema.

        A column that only some shards have is null in the others.

        Raises:
            ConfigError: if a column is unknown.
            DataError: if there is no table here, or a shard is damaged or not ours.
        """
        return self._stored().parts(columns)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The table, or some of its columns, in one piece; raises what `parts` does."""
        import pyarrow as pa  # noqa: PLC0415

        return pa.concat_tables(list(self.parts(columns)))

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Each row as a dict, in input order."""
        for part in self.parts(columns):
            for batch in part.to_batches(max_chunksize=4096):
                yield from batch.to_pylist()

    def arrays(self, columns: Sequence[str] | None = None) -> dict[str, np.ndarray[Any, Any]]:
        """Each column as a numpy array; a missing number is NaN, a missing text None."""
        table = self.read(columns)
        return {name: table[name].to_numpy() for name in table.column_names}

    def error_counts(self) -> dict[str, dict[str, int]]:
        """How often each error code occurs in the rows of each reward."""
        counts: dict[str, Counter[str]] = {reward: Counter() for reward in self.rewards}
        for part in self.parts([f"{reward}.error" for reward in counts]) if counts else ():
            for reward, found in counts.items():
                whys = part[f"{reward}.error"].drop_null().to_pylist()
                found.update(map(error_code, whys))
        return {reward: dict(sorted(found.items())) for reward, found in counts.items()}

    def merge(self, other: ScoreTable) -> None:
        """Add the rows and scores of another table that are not here yet.

        So is a reward's calibration; where both have one and they differ, neither is kept, with a
        warning.

        Raises:
            ConfigError: if a reward is in both with different configurations.
            DataError: if a key is in both with a different picture or prompt, or one of them is
                a run that scores shard by shard.
        """
        other._refuse_run("be merged; read it beside another as ScoreTable(folder, also=[other])")
        with self.writing() as writer:
            for part in other._appended.inputs.tables():
                rows = part.to_pylist()
                writer.add_inputs([row for row in rows if not writer.knows(row)])
            for reward in other.rewards:
                writer.claim(reward, other.config(reward))
                for part in other._appended.scores(reward).tables():
                    writer.add_missing_scores(reward, part)
                _merge_calibrations(self.folder, other.folder, reward)

    @contextmanager
    def writing(self) -> Iterator[TableWriter]:
        """The only writer of this table; DataError if another process is writing it."""
        self._refuse_foreign_folder()
        (self.folder / "rewards").mkdir(parents=True, exist_ok=True)
        with only_writer(self.folder / ".lock"):
            for left_over in self.folder.rglob(".*.parquet.tmp"):
                left_over.unlink()
            yield TableWriter(self)

    def runs(self) -> Iterator[ShardedTable]:
        """The table and those beside it, as far as they are runs that score shard by shard."""
        if self._sharded.folder.is_run():
            yield self._sharded
        for other in self._also:
            yield from other.runs()

    def _stored(self) -> StoredTable:
        own = self._sharded if self._sharded.folder.is_run() else self._appended
        return JoinedTable(own, [t._stored() for t in self._also]) if self._also else own

    def _sheet(self, *, pictures: bool) -> Sheet:
        try:
            known = self.columns
            scores = [f"{r}.{part}" for r in self.rewards for part in score_parts(known, r)]
            return first_rows(self, scores, pictures=pictures)
        except DataError as error:  # there is no table yet
            return Sheet(title=repr(self), notes=[str(error)])

    def _refuse_run(self, what: str) -> None:
        if self._sharded.folder.is_run():
            raise DataError(f"{self.folder} is a run that scores shard by shard and cannot {what}")

    def _refuse_foreign_folder(self) -> None:
        self._refuse_run("grow row by row; `beholder score` with its source goes on with it")
        if self.folder.is_file():
            raise DataError(f"{self.folder} is a file; a score table is a folder")
        if self.folder.is_dir() and not (self.folder / "rewards").is_dir():
            found = sorted(p.name for p in self.folder.iterdir() if not p.name.startswith("."))
            if found:
                raise DataError(
                    f"{self.folder} already holds {found[0]!r} and is no score table; "
                    "give an empty or new folder"
                )


class TableWriter:
    """Appends rows to a score table and knows what is already there; see `ScoreTable.writing`."""

    def __init__(self, table: ScoreTable) -> None:
        self._table = table
        self._marks: dict[str, int] = {}
        self._done: dict[str, set[str]] = {}
        self._configs: dict[str, Mapping[str, Any]] = {}
        for part in table._appended.inputs.tables(INPUT_COLUMNS):
            self._marks |= {row[KEY]: _mark(row) for row in part.to_pylist()}

    def claim(self, reward: str, config: Mapping[str, Any], *, retry_failed: bool = False) -> None:
        """Say with which configuration a reward's further scores are computed.

        With `retry_failed` the rows that it could not score are forgotten, to be scored again.
        Raises ConfigError if scores with another configuration are already here.
        """
        check_reward_name(reward)
        shards = self._table._appended.scores(reward)
        config = json.loads(json.dumps(config, default=str))
        if shards.paths():
            differs = differences(shards.config(), config)
            if differs:
                raise ConfigError(
                    f"{self._table.folder} holds {reward} scores computed otherwise: "
                    f"{'; '.join(differs)}; write to another folder or delete {shards.folder}"
                )
        if retry_failed:
            shards.forget(f"{reward}.error")
        self._configs[reward] = config
        self._done[reward] = {k for part in shards.tables([KEY]) for k in part[KEY].to_pylist()}

    def knows(self, row: Mapping[str, Any]) -> bool:
        """Whether the row's key is here; DataError if it is with another picture or prompt."""
        mark = self._marks.get(storable(row[KEY]))
        if mark is not None and mark != _mark(row):
            raise DataError(
                f"row {row[KEY]!r} of {self._table.folder} has another picture or prompt than "
                f"{row[IMAGE]!r}, {row[PROMPT]!r}; write to another folder"
            )
        return mark is not None

    def needs(self, reward: str, key: str) -> bool:
        """Whether a claimed reward has no row of this key yet."""
        return storable(key) not in self._done[reward]

    def add_inputs(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write new input rows as one shard; each has key, image, prompt and what else it likes.

        Raises DataError if a further column has the name of a reward's column.
        """
        if not rows:
            return
        names = list(dict.fromkeys([*INPUT_COLUMNS, *(name for row in rows for name in row)]))
        for name in names:
            check_free(name, self._configs)
        self._table._appended.inputs.append({n: [row.get(n) for row in rows] for n in names}, {})
        self._marks |= {storable(row[KEY]): _mark(row) for row in rows}

    def add_scores(self, reward: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Write rows of a claimed reward as one shard: key, <reward>.total, ..., <reward>.error."""
        if not columns[KEY]:
            return
        self._table._appended.scores(reward).append(columns, self._configs[reward])
        self._done[reward].update(map(storable, columns[KEY]))

    def add_missing_scores(self, reward: str, part: pa.Table) -> None:
        """Write those rows of a claimed reward's shard that are not here yet."""
        wanted = [self.needs(reward, key) for key in part[KEY].to_pylist()]
        self.add_scores(reward, part.filter(wanted).to_pydict())


def check_reward_name(name: str) -> None:
    """Raise ConfigError unless `name` can start a column name such as "mps.total" in a rule."""
    if not name.isidentifier() or name in {"and", "or", "not", "in", "column"}:
        raise ConfigError(
            f"a reward's columns cannot be named {name!r}; "
            "use letters, digits and underscores, such as 'my_reward'"
        )


def error_code(why: str) -> str:
    """The code of an error text "code: why"."""
    return why.partition(":")[0]


def score_parts(columns: Sequence[str], reward: str) -> list[str]:
    """What a reward scores, of a table's columns: "total" and its aspects, in their order.

    Its other columns, of maps, words, win probabilities and errors, are not among them.
    """
    parts = [name.removeprefix(f"{reward}.") for name in columns if name.startswith(f"{reward}.")]
    return [part for part in parts if "." not in part and part not in _NO_SCORES]


def _mark(row: Mapping[str, Any]) -> int:
    text = json.dumps([storable(row[name] or "") for name in (IMAGE, PROMPT)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _merge_calibrations(into: Path, other: Path, reward: str) -> None:
    """Leave the one calibration that two tables have of a reward; none if they have two."""
    here, there = (folder / "rewards" / reward / CALIBRATION for folder in (into, other))
    if not there.is_file() or (here.is_file() and here.read_bytes() == there.read_bytes()):
        return
    if here.is_file():
        here.unlink()
        _LOG.warning(
            "%s and %s differ, so the calibration of %s is left out; give one where it is asked "
            "for, such as --calibration %s=FILE",
            here,
            there,
            reward,
            reward,
        )
        return
    partial = here.with_name(f".{here.name}.partial")
    partial.write_bytes(there.read_bytes())
    partial.replace(here)


def differences(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> list[str]:
    """What differs between two configurations, a line each, such as "weights was 1, now 2"."""
    found: list[str] = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{path}{name}.")
        elif before != after:
            found.append(f"{path}{name} was {before!r}, now {after!r}")
    return found
