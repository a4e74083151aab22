"""Records of a saved data set whose pictures are not read: they lie in memory-mapped files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beholder._inputs.records import Records, column_of
from beholder._inputs.saved_sets import open_saved

if TYPE_CHECKING:
    import pyarrow as pa

_EMBEDDED = b"."  # stands for the bytes of a picture that were not read
_BATCH = 1000


def light_records(folder: Path, records: Records) -> Records:
    """The same records with `_EMBEDDED` for each picture's bytes, and without other bytes."""
    image = column_of("image", records.columns)

    def read() -> Iterator[dict[str, Any]]:
        dataset = open_saved(folder).with_format("arrow")
        for start in range(0, len(dataset), _BATCH):
            yield from _light(dataset[start : start + _BATCH], image)

    return replace(records, read=read)


def _light(table: pa.Table, image: str | None) -> list[dict[str, Any]]:
    kept = [f.name for f in table.schema if f.name != image and "binary" not in str(f.type)]
    found = table.select(kept).to_pylist() if kept else [{} for _ in range(table.num_rows)]
    if image is not None:
        for record, picture in zip(found, _pictures(table[image]), strict=True):
            record[image] = picture
    return found


def _pictures(column: pa.ChunkedArray) -> Iterator[Any]:
    for chunk in column.chunks:
        yield from _stood_for(chunk)


def _stood_for(chunk: pa.Array) -> Iterator[Any]:
    """Paths as they are; for bytes that are there, what stands for them."""
    import pyarrow as pa  # noqa: PLC0415

    names = [field.name for field in chunk.type] if pa.types.is_struct(chunk.type) else []
    if "bytes" in names:
        parts = dict(zip(names, chunk.flatten(), strict=True))
        paths = parts["path"].to_pylist() if "path" in names else [None] * len(chunk)
        for has_bytes, path in zip(parts["bytes"].is_valid().to_pylist(), paths, strict=True):
            yield {"bytes": _EMBEDDED if has_bytes else None, "path": path}
    elif "binary" in str(chunk.type):
        yield from (_EMBEDDED if valid else None for valid in chunk.is_valid().to_pylist())
    else:
        yield from chunk.to_pylist()
