"""Score tables as files that other programs read: parquet, CSV, JSON lines, or parquet shards.

A table is streamed, so that memory does not grow with it, and every file appears whole. All files
of one table have one schema: numbers are floats or integers, texts are strings, nested values are
JSON text, and a column without any cell is a string.
"""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beholder.errors import ConfigError
from beholder.storage import ASIDE, STORES, Place, scheme_of
from beholder.tables import ScoreTable

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 100_000
"""Rows of a row group of parquet, if so many follow each other."""

SHARD_ROWS = 1_000_000
"""Rows of a file in a folder of shards."""

Write = Callable[[Any, "pa.Schema", Iterator["pa.Table"]], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        out: file or folder.
        rows: in all.
        columns: of each file.
        files: how many there are.
    """

    out: str
    rows: int
    columns: tuple[str, ...]
    files: int

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return {**asdict(self), "columns": list(self.columns)}


def export_table(
    table: ScoreTable,
    out: str | os.PathLike[str],
    columns: Sequence[str] | None = None,
    *,
    shard_rows: int = SHARD_ROWS,
    progress: Callable[[int], object] = lambda count: None,
) -> Exported:
    """Write a table, or some of its columns, to a file by its suffix or to a folder.

    Args:
        table: what is written, in its order.
        out: a path or address that ends in .parquet, .csv, .jsonl or .ndjson; or a new or empty
            folder, which gets shards `part-00000.parquet` and so on.
        columns: their names; None takes all.
        shard_rows: rows of each shard in a folder, but the last.
        progress: called with numbers of rows.

    Raises:
        ConfigError: if a column is unknown, the suffix is another, or the folder is not empty.
        DataError: if there is no table, or a part of it is damaged.
    """
    place = Place(out)
    suffix = Path(place.name).suffix.lower()
    if suffix and suffix not in _WRITERS:
        raise ConfigError(f"{out} ends in {suffix}; give {', '.join(_WRITERS)}, or a folder")
    if not suffix and next(place.names(), None) is not None:
        raise ConfigError(f"{out} is not empty; give a new folder, so that no two tables mix")
    flow = _Flow(table.parts(columns), progress)
    if suffix:
        _whole(place, flow, _WRITERS[suffix])
        return Exported(place.address, flow.rows, tuple(flow.schema.names), 1)
    files = 0
    while files == 0 or flow.has_more():
        _whole(place / f"part-{files:05d}.parquet", flow.taking(shard_rows), _parquet)
        files += 1
    return Exported(place.address, flow.rows, tuple(flow.schema.names), files)


class _Flow:
    """Parts of a table, to be taken in pieces of any length.

    Attributes:
        schema: of all of them.
        rows: that were taken.
    """

    def __init__(self, parts: Iterator[pa.Table], progress: Callable[[int], object]) -> None:
        self._parts = (_plain(part) for part in parts)
        self._progress = progress
        self._left = next(self._parts)
        self.schema = self._left.schema
        self.rows = 0

    def has_more(self) -> bool:
        """Whether a row is left."""
        while not len(self._left):
            following = next(self._parts, None)
            if following is None:
                return False
            self._left = following
        return True

    def taking(self, count: int | None = None) -> _Some:
        """The next rows, at most so many."""
        return _Some(self, count)

    def take(self, most: int) -> pa.Table:
        """The next rows of one part, at most so many; there must be one."""
        taken, self._left = self._left.slice(0, most), self._left.slice(most)
        self.rows += len(taken)
        self._progress(len(taken))
        return taken

    def __iter__(self) -> Iterator[pa.Table]:
        return iter(self.taking())


@dataclass(frozen=True)
class _Some:
    """Some rows of a flow."""

    flow: _Flow
    count: int | None

    @property
    def schema(self) -> pa.Schema:
        return self.flow.schema

    def __iter__(self) -> Iterator[pa.Table]:
        left = self.count
        while left != 0 and self.flow.has_more():
            part = self.flow.take(GROUP_ROWS if left is None else min(left, GROUP_ROWS))
            left = None if left is None else left - len(part)
            yield part


def _plain(part: pa.Table) -> pa.Table:
    """A part without what only this program's files say, and without columns of no type."""
    import pyarrow as pa  # noqa: PLC0415

    fields = [
        pa.field(column.name, pa.string() if pa.types.is_null(column.type) else column.type)
        for column in part.schema
    ]
    return part.cast(pa.schema(fields))


def _whole(place: Place, parts: _Flow | _Some, write: Write) -> None:
    """Write a file that appears when all is in it."""
    with _opened(place) as file:
        write(file, parts.schema, iter(parts))


@contextmanager
def _opened(place: Place) -> Iterator[Any]:
    if place.is_remote:
        with tempfile.TemporaryDirectory(prefix="beholder-") as folder:
            path = Path(folder) / place.name
            with path.open("wb") as file:
                yield file
            _upload(path, place)
        return
    path = Path(place.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{ASIDE}")
    try:
        with aside.open("wb") as file:
            yield file
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _upload(file: Path, place: Place) -> None:
    """Put a local file in its place, whole: in one upload, or aside and renamed."""
    if scheme_of(place.address) in STORES:
        place.system.put_file(str(file), place.path)
        return
    parent, name = os.path.split(place.path)
    aside = f"{parent}/.{name}.{uuid.uuid4().hex[:8]}{ASIDE}"
    place.system.makedirs(parent, exist_ok=True)
    place.system.put_file(str(file), aside)
    place.system.mv(aside, place.path)


def _parquet(file: Any, schema: pa.Schema, parts: Iterator[pa.Table]) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415

    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(parts):
            writer.write_table(group)


def _groups(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Small parts together: many small row groups are slow to read."""
    import pyarrow as pa  # noqa: PLC0415

    held: list[pa.Table] = []
    for part in parts:
        if held and sum(map(len, held)) + len(part) > GROUP_ROWS:
            yield pa.concat_tables(held)
            held = []
        held.append(part)
    if held:
        yield pa.concat_tables(held)


def _csv(file: Any, schema: pa.Schema, parts: Iterator[pa.Table]) -> None:
    import pyarrow.csv as arrow_csv  # noqa: PLC0415

    with arrow_csv.CSVWriter(file, schema) as writer:
        for part in parts:
            writer.write_table(part)


def _json_lines(file: Any, schema: pa.Schema, parts: Iterable[pa.Table]) -> None:
    for part in parts:
        for batch in part.to_batches(max_chunksize=4096):
            lines = (json.dumps(_said(row), ensure_ascii=False) for row in batch.to_pylist())
            file.write("".join(f"{line}\n" for line in lines).encode())


def _said(row: dict[str, Any]) -> dict[str, Any]:
    """A row with null for numbers that are not finite, which JSON cannot say."""
    return {name: None if _is_odd(value) else value for name, value in row.items()}


def _is_odd(value: object) -> bool:
    return isinstance(value, float) and (value != value or abs(value) == float("inf"))  # noqa: PLR0124


_WRITERS: dict[str, Write] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}
