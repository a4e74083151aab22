"""Records of manifests: CSV, TSV, JSON lines and parquet files as a stream of dicts."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from beholder.errors import DataError
from beholder.storage import Place

ALIASES = {
    "image": ("image", "image_path", "file_name", "filename", "path", "file", "img"),
    "prompt": ("prompt", "caption", "text", "description"),
    "key": ("key",),
}
MANIFESTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
DELIMITERS = {".csv": ",", ".tsv": "\t"}
_BUFFER = 2**20
_BATCH = 64  # records at once; each may hold a picture


@dataclass(frozen=True, slots=True)
class Records:
    """A manifest's columns, its records one by one, and how many there are.

    `places` tells where each record is, as "FILE.parquet#row", if it can be found again there.
    """

    columns: Sequence[str]
    read: Callable[[], Iterator[dict[str, Any]]]
    count: Callable[[], int]
    places: Callable[[], Iterator[str]] | None = None


def manifest_records(path: Path) -> Records:
    """Records of a `.csv`, `.tsv`, `.jsonl`, `.ndjson` or `.parquet` file.

    Cells of CSV and TSV are text. Bytes that are no UTF-8 become lone surrogates, so that one bad
    prompt is an error of its row only. Raises DataError if the file is empty or malformed.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return parquet_records([path])
    read = _delimited if suffix in DELIMITERS else _json_lines
    first = next(read(path), None)
    if first is None:
        raise DataError(f"{path} holds no records")
    return Records(list(first), lambda: read(path), lambda: sum(1 for _ in read(path)))


def parquet_records(paths: Sequence[Path | Place]) -> Records:
    """Records of several parquet files one after another."""
    places = [path if isinstance(path, Place) else Place(path) for path in paths]

    def read() -> Iterator[dict[str, Any]]:
        for place in places:
            with open_parquet(place) as file:
                yield from parquet_rows(file, range(file.num_row_groups))

    def rows() -> Iterator[int]:
        for place in places:
            with open_parquet(place) as file:
                yield file.metadata.num_rows

    def located() -> Iterator[str]:
        for place, count in zip(places, rows(), strict=True):
            yield from (f"{place.absolute}#{row}" for row in range(count))

    columns = list(dict.fromkeys(name for place in places for name in _columns(place)))
    return Records(columns, read, lambda: sum(rows()), located)


def parquet_rows(file: Any, groups: Iterable[int]) -> Iterator[dict[str, Any]]:
    """The records of some row groups of a parquet file."""
    for batch in file.iter_batches(batch_size=_BATCH, row_groups=list(groups)):
        yield from records_in(batch)


def records_in(batch: Any) -> list[dict[str, Any]]:
    """The records of some rows; bytes of texts that are no UTF-8 become lone surrogates."""
    try:
        found: list[dict[str, Any]] = batch.to_pylist()
    except UnicodeDecodeError:
        cells = [list(map(_cell, column)) for column in batch.columns]
        return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*cells, strict=True)]
    return found


def _cell(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        if hasattr(scalar, "as_buffer"):
            return bytes(scalar.as_buffer()).decode("utf-8", "surrogateescape")
        if hasattr(scalar, "items"):
            return {name: _cell(value) for name, value in scalar.items()}
        return [_cell(value) for value in scalar]


def open_parquet(place: Place) -> Any:
    """A parquet file that closes when left; of a remote one only what is asked for is fetched."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        if place.is_remote:
            return pq.ParquetFile(place.open())
        # by the page, or a whole row group of pictures would be in memory
        return pq.ParquetFile(place.path, buffer_size=_BUFFER, pre_buffer=False)
    except DataError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{place} is damaged or no parquet file") from error


def _columns(place: Place) -> list[str]:
    with open_parquet(place) as file:
        return list(file.schema_arrow.names)


def column_of(kind: str, columns: Iterable[str]) -> str | None:
    """The first of a kind's `ALIASES` that is among the columns, in any case of letters."""
    given = {column.lower(): column for column in columns}
    return next((given[alias] for alias in ALIASES[kind] if alias in given), None)


def open_text(path: Path) -> IO[str]:
    """A UTF-8 file, with or without byte order mark; other bytes become lone surrogates."""
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def parsed(text: str) -> Any:
    """JSON, in which whole numbers of thousands of digits stay text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return json.loads(text, parse_int=_integer)


def _integer(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:
        return digits


def name_of_column(name: object) -> str:
    """A name that a table can have; lone surrogates are written out."""
    text = str(name)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _delimited(path: Path) -> Iterator[dict[str, Any]]:
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=DELIMITERS[path.suffix.lower()])
        try:
            header = next(reader, [])
            for cells in filter(None, reader):
                if len(cells) != len(header):
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(cells)} cells, "
                        f"but the header has {len(header)}; quote cells that hold the delimiter"
                    )
                yield dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: {error}") from error


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = parsed(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number}: not JSON: {error}") from error
            if not isinstance(record, dict):
                raise DataError(f"{path}, line {number}: expected an object, as in {{…}}")
            yield record
