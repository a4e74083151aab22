"""A folder of parquet with a card: written whole or not at all, read with its columns checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beholder.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, object]
Kind = str | list[str] | list[dict[str, str]]
Columns = Mapping[str, Kind]
"""Name -> "string", "float64", "int32" or "image"; ["string"] is a list of texts, and
[{"x": "float64", "y": "float64"}] a list of objects."""

_SHARD = Path("data") / "train-00000-of-00001.parquet"
_ROWS_IN_GROUP = {True: 100, False: 10_000}  # with pictures inside, memory is the limit
_LARGEST_DICTIONARY = 1 << 29  # equal pictures of a row group are stored once up to this size


def write_folder(
    folder: Path, columns: Columns, rows: Iterable[Row], card: Callable[[], str]
) -> None:
    """Write README.md and one parquet file that `datasets.load_dataset(folder)` understands.

    `card` gives the text of the README; it is asked once all rows were written. An earlier data
    set of one file is replaced. Raises DataError if the folder holds others.
    """
    shard = folder / _SHARD
    strangers = [path.name for path in shard.parent.glob("*.parquet") if path != shard]
    if strangers:
        raise DataError(f"{shard.parent} already holds {strangers[0]}; choose another folder")
    shard.parent.mkdir(parents=True, exist_ok=True)
    partial = shard.with_suffix(".partial")
    try:
        _write_rows(partial, columns, iter(rows))
        partial.replace(shard)
    finally:
        partial.unlink(missing_ok=True)
    header = "\n".join(["---", *_yaml(columns), "---", ""])
    (folder / "README.md").write_text(f"{header}\n{card()}", encoding="utf-8")


def read_rows(folder: Path, columns: Columns, by_prefix: Columns, writer: str) -> Iterator[Row]:
    """Rows with the required `columns` and all others whose names have a known prefix.

    Raises DataError if there is no parquet, or a column is missing or of another type.
    """
    files = sorted((folder / "data").glob("*.parquet"))
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise DataError(
            f"{folder} {what}; give a folder that `beholder annotate import` or {writer} wrote"
        )
    if not files:
        raise DataError(
            f"{folder} holds no data/*.parquet; expected what `beholder annotate import` "
            f"or {writer} wrote"
        )
    for path in files:
        yield from _read_file(path, columns, by_prefix, writer)


def items(cell: object) -> tuple[Any, ...]:
    """What a list's cell holds; nothing if it is null."""
    return tuple(cell) if isinstance(cell, list) else ()


def _read_file(path: Path, columns: Columns, by_prefix: Columns, writer: str) -> Iterator[Row]:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(path) as file:
            wanted = _wanted(file.schema_arrow, columns, by_prefix, f"{path} is not of {writer}")
            for batch in file.iter_batches(batch_size=100, columns=list(wanted)):
                yield from _checked(batch, wanted, path).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _wanted(
    schema: pa.Schema, columns: Columns, by_prefix: Columns, complaint: str
) -> dict[str, pa.DataType]:
    missing = [name for name in columns if name not in schema.names]
    if missing:
        raise DataError(f"{complaint}: it has no column {', '.join(missing)}")
    prefixed = {
        name: kind
        for name in schema.names
        for prefix, kind in by_prefix.items()
        if name.startswith(prefix)
    }
    kinds = {**columns, **prefixed}
    embedded = {k for k in kinds if schema.field(k).type == _arrow("image")}
    return {k: _arrow("image" if k in embedded else kind) for k, kind in kinds.items()}


def _checked(
    batch: pa.RecordBatch, wanted: Mapping[str, pa.DataType], path: Path
) -> pa.RecordBatch:
    import pyarrow as pa  # noqa: PLC0415

    for name in ("key", "prompt"):
        if batch.column(name).null_count:
            raise DataError(f"{path}: column {name} has empty cells")
    try:
        columns = {name: batch.column(name).cast(kind) for name, kind in wanted.items()}
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{path} has a column of the wrong type: {error}") from error
    return pa.RecordBatch.from_pydict(columns)


def _write_rows(path: Path, columns: Columns, rows: Iterator[Row]) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = _schema(columns)
    size = _ROWS_IN_GROUP["image" in columns.values()]
    limit = _LARGEST_DICTIONARY
    with pq.ParquetWriter(path, schema, dictionary_pagesize_limit=limit) as file:
        fitting = _fitting(rows, columns)
        while group := list(islice(fitting, size)):
            file.write_table(pa.Table.from_pylist(group, schema=schema), row_group_size=size)


def _fitting(rows: Iterable[Row], columns: Columns) -> Iterator[Row]:
    """The rows; DataError names one with a value that no column takes."""
    for row in rows:
        strangers = [name for name in row if name not in columns]
        if strangers:
            raise DataError(
                f"{row.get('key')!r}: no column takes {', '.join(strangers)}; "
                f"there are {', '.join(columns)}"
            )
        yield row


def _schema(columns: Columns) -> pa.Schema:
    """Types, and the features under which `datasets` shows them."""
    import pyarrow as pa  # noqa: PLC0415

    features = {name: _feature(kind) for name, kind in columns.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([(name, _arrow(kind)) for name, kind in columns.items()], metadata=metadata)


def _arrow(kind: Kind | dict[str, str]) -> pa.DataType:
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(kind, list):
        return pa.list_(_arrow(kind[0]))
    if isinstance(kind, dict):
        return pa.struct([(name, _arrow(part)) for name, part in kind.items()])
    if kind == "image":
        return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.type_for_alias(kind)


def _feature(kind: Kind | dict[str, str]) -> dict[str, object]:
    if isinstance(kind, list):
        return {"feature": _feature(kind[0]), "_type": "List"}
    if isinstance(kind, dict):
        return {name: _feature(part) for name, part in kind.items()}
    return {"_type": "Image"} if kind == "image" else {"dtype": kind, "_type": "Value"}


def _yaml(columns: Columns) -> Iterator[str]:
    yield from ("configs:", "- config_name: default", "  data_files:", "  - split: train")
    yield from ("    path: data/train-*.parquet", "dataset_info:", "  features:")
    for name, kind in columns.items():
        yield f"  - name: {name}"
        inside = kind[0] if isinstance(kind, list) else None
        if isinstance(inside, dict):
            yield "    list:"
            for part, dtype in inside.items():
                yield from (f"    - name: {part}", f"      dtype: {dtype}")
        else:
            yield f"    list: {inside}" if inside else f"    dtype: {kind}"
