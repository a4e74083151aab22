"""Parquet shards: files of one folder that were written aside, renamed, and say what they hold."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beholder.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1
INPUTS = "inputs"
INPUT_COLUMNS = ("key", "image", "prompt")
PENDING = "pending: not scored yet; run score again"
"""The error of a row that a reward has not reached."""
_FOOTER = b"beholder"


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards of one folder, numbered in order, of one configuration.

    Attributes:
        folder: where they are; it need not exist yet.
        holds: what their rows are, INPUTS or the name of a reward; written in every footer.
    """

    folder: Path
    holds: str

    def paths(self) -> list[Path]:
        """The files in order; what was only written aside is not among them."""
        return sorted(self.folder.glob("*.parquet"))

    def rows(self) -> int:
        """How many rows all shards have, read from their footers."""
        return sum(self._open(path).metadata.num_rows for path in self.paths())

    def columns(self) -> list[str]:
        """Names of the columns that any shard has."""
        names = (name for path in self.paths() for name in self._open(path).schema_arrow.names)
        return list(dict.fromkeys(names))

    def config(self) -> dict[str, Any]:
        """The configuration in the first shard's footer."""
        footer = self._open(self.paths()[0]).schema_arrow.metadata
        config: dict[str, Any] = json.loads(footer[_FOOTER])["config"]
        return config

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Each shard in turn; DataError names one that is damaged or not ours."""
        import pyarrow as pa  # noqa: PLC0415

        for path in self.paths():
            try:
                yield self._open(path).read(columns=columns and list(columns))
            except (pa.ArrowException, OSError) as error:
                raise DataError(self._damage(path)) from error

    def read(self) -> pa.Table | None:
        """All shards as one table, absent cells null; None if there is no shard."""
        parts = list(self.tables())
        return _stack(parts) if parts else None

    def append(self, columns: Mapping[str, Sequence[Any]], config: Mapping[str, Any]) -> None:
        """Write rows as the next shard: it appears whole or, if the process dies, not at all."""
        import pyarrow as pa  # noqa: PLC0415

        footer = {"format": FORMAT, "holds": self.holds, "config": config}
        table = pa.table({name: self._column(name, values) for name, values in columns.items()})
        number = 1 + max((int(p.stem) for p in self.paths() if p.stem.isdecimal()), default=-1)
        self.folder.mkdir(parents=True, exist_ok=True)
        marked = table.replace_schema_metadata({_FOOTER: json.dumps(footer)})
        self._write(marked, self.folder / f"{number:08d}.parquet")

    def forget(self, column: str) -> None:
        """Take out the rows that have a value in a column; each shard changes whole or not."""
        import pyarrow.compute as pc  # noqa: PLC0415

        for path in self.paths():
            table = self._open(path).read()
            kept = table.filter(pc.is_null(table[column]))
            if len(kept) == 0:
                path.unlink()
            elif len(kept) < len(table):
                self._write(kept, path)

    def _write(self, table: pa.Table, path: Path) -> None:
        import pyarrow.parquet as pq  # noqa: PLC0415

        aside = path.with_name(f".{path.name}.tmp")
        with aside.open("wb") as file:
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)

    def _column(self, name: str, values: Sequence[Any]) -> pa.Array:
        import pyarrow as pa  # noqa: PLC0415

        cells = [_cell(value) for value in values]
        if name in INPUT_COLUMNS:
            return pa.array(cells, pa.string())
        if self.holds == INPUTS:
            return inferred(cells)
        return pa.array(cells, pa.string() if name.endswith(".error") else pa.float32())

    def _open(self, path: Path) -> Any:
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        try:
            file = pq.ParquetFile(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise DataError(self._damage(path)) from error
        footer = json.loads((file.schema_arrow.metadata or {}).get(_FOOTER, "{}"))
        if footer.get("format") != FORMAT or footer.get("holds") != self.holds:
            raise DataError(
                f"{path} is not a shard of {self.holds} that this version wrote; move it away"
            )
        return file

    def _damage(self, path: Path) -> str:
        remedy = "write to another folder" if self.holds == INPUTS else "delete it, score again"
        return f"{path} is damaged or no parquet file; {remedy}"


def unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """A line that says which of the known names was probably meant."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
    return f"no {kind} named {name!r}; {hint}"


def storable(text: str) -> str:
    r"""Text that UTF-8 can hold; lone surrogates are written out as \udXXX."""
    return text.encode("utf-8", "backslashreplace").decode()


def check_free(column: str, rewards: Container[str]) -> None:
    """Raise DataError if a column of the input has the name of one of these rewards' columns."""
    reward, dot, _ = column.partition(".")
    if dot and reward in rewards:
        raise DataError(
            f"the input has a column {column!r} already; give the reward another name, such as "
            f"-r {reward}_again=..., or rename the column"
        )


def inferred(cells: Sequence[Any]) -> pa.Array:
    """Cells with the type that they have in common; texts if they have none."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        return pa.array(cells)
    except (pa.ArrowException, OverflowError):  # a manifest that mixes text and numbers
        return pa.array([None if cell is None else str(cell) for cell in cells])


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (Mapping, list, tuple)):
        return storable(json.dumps(value, default=str))
    return storable(str(value))


def _stack(parts: Sequence[pa.Table]) -> pa.Table:
    """One table of several whose columns may be absent, or of another type, in some."""
    import pyarrow as pa  # noqa: PLC0415

    types: dict[str, set[pa.DataType]] = {}
    for column in (column for part in parts for column in part.schema):
        types.setdefault(column.name, set()).add(column.type)
    schema = pa.schema([(name, common(found)) for name, found in types.items()])
    return pa.concat_tables([conform(part, schema) for part in parts])


def common(found: set[pa.DataType]) -> pa.DataType:
    """The type that holds the cells of several: numbers become float64, a mixture text."""
    import pyarrow as pa  # noqa: PLC0415

    given = found - {pa.null()}
    if len(given) < 2:
        return next(iter(given), pa.null())
    numeric = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in given)
    return pa.float64() if numeric else pa.string()


def conform(part: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of a schema, null where there is none; others are left out."""
    import pyarrow as pa  # noqa: PLC0415

    columns = [
        part[column.name].cast(column.type)
        if column.name in part.column_names
        else pa.nulls(len(part), column.type)
        for column in schema
    ]
    return pa.table(columns, schema=schema)
