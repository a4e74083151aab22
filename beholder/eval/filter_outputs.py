"""The pictures that a filter kept, brought along in the form that comes next.

    link, copy      pictures/<key>.<suffix>: hard links, or copies
    webdataset      shards/000000.tar, ...: see `eval._outputs.tars`
    dataset         dataset/data/train-*.parquet and README.md: see `eval._outputs.dataset`

Rows stream by, whatever their number; bytes of pictures are never encoded again. A picture that is
gone is counted with its reason and has no place.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from beholder.errors import ConfigError, DataError, ImageError
from beholder.eval._outputs.dataset import DatasetWriter
from beholder.eval._outputs.files import FileWriter
from beholder.eval._outputs.rows import KeptRow
from beholder.eval._outputs.tars import TarWriter
from beholder.eval._outputs.writer import PictureWriter
from beholder.located import each_picture
from beholder.tables import IMAGE, KEY, PROMPT

if TYPE_CHECKING:
    import pyarrow as pa

FOLDERS = {"link": "pictures", "copy": "pictures", "webdataset": "shards", "dataset": "dataset"}
"""Form -> the folder that holds it."""
PICTURES = ("none", *FOLDERS)
"""What becomes of the pictures that are kept."""

_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Written:
    """What became of kept pictures.

    Attributes:
        places: where each is, relative to the folder, one text a row in order; null if it is gone.
            "shards/000000.tar/<member>" and "dataset/data/<file>#<row>" are places inside a file.
        missing: code of the reason -> pictures that are gone.
        files: how many files were written: pictures, or shards.
    """

    places: pa.ChunkedArray
    missing: Mapping[str, int]
    files: int


def write_pictures(
    parts: Iterable[pa.Table], folder: Path, how: str, *, per_shard: int = 1000
) -> Written:
    """Write the pictures of kept rows under `folder`; they appear there when all are written.

    Args:
        parts: the kept rows in order, with the columns key, image and prompt at least.
        folder: an existing one that does not hold them yet.
        how: "link", "copy", "webdataset" or "dataset".
        per_shard: pictures in one tar or parquet file.

    Raises:
        ConfigError: if `how` is unknown or `per_shard` is below 1.
        DataError: if `folder` holds pictures already or cannot be written: a full disk, or a hard
            link to another one.
    """
    if how not in FOLDERS:
        raise ConfigError(f"pictures must be one of {', '.join(PICTURES)}, got {how!r}")
    if per_shard < 1:
        raise ConfigError(f"a shard must hold 1 or more pictures, got {per_shard}")
    target = folder / FOLDERS[how]
    if target.exists():
        raise DataError(f"{target} exists; give a new folder")
    aside = folder / f".{target.name}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        written = _write(parts, aside, how, per_shard)
        aside.replace(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return written


def _write(parts: Iterable[pa.Table], folder: Path, how: str, per_shard: int) -> Written:
    import pyarrow as pa  # noqa: PLC0415

    rest = iter(parts)
    first = next(rest, pa.table({}))
    writer = _writer(folder, how, first.schema, per_shard)
    missing: Counter[str] = Counter()
    try:
        marks = [_marks(writer, part, missing) for part in chain([first], rest)]
        writer.close()
    except BaseException:
        writer.abandon()
        raise
    places = [_places(chunk, FOLDERS[how], writer) for chunk in marks]
    return Written(pa.chunked_array(places, pa.string()), dict(missing), writer.files)


def _writer(folder: Path, how: str, schema: pa.Schema, per_shard: int) -> PictureWriter:
    if how == "webdataset":
        return TarWriter(folder, per_shard=per_shard)
    if how == "dataset":
        return DatasetWriter(folder, schema, per_shard=per_shard)
    return FileWriter(folder, link=how == "link")


def _marks(writer: PictureWriter, part: pa.Table, missing: Counter[str]) -> pa.Array:
    import pyarrow as pa  # noqa: PLC0415

    return pa.array([_added(writer, row, missing) for row in _rows(part)], pa.string())


def _rows(part: pa.Table) -> Iterator[KeptRow]:
    """The rows of a part, each with its picture."""
    for batch in part.to_batches(max_chunksize=_AT_ONCE):
        rows = batch.to_pylist()
        images = [str(row[IMAGE] or "") for row in rows]
        for row, image, source in zip(rows, images, each_picture(images), strict=True):
            yield KeptRow(row, str(row[KEY]), image, row.get(PROMPT), source)


def _added(writer: PictureWriter, row: KeptRow, missing: Counter[str]) -> str | None:
    """What the writer says of the place; None, and counted, if the picture is gone."""
    try:
        if isinstance(row.source, ImageError):
            raise row.source
        return writer.add(row)
    except ImageError as error:
        missing[error.code] += 1
        return None


def _places(marks: pa.Array, folder: str, writer: PictureWriter) -> pa.Array:
    import pyarrow as pa  # noqa: PLC0415

    found = [None if m is None else f"{folder}/{writer.place(m)}" for m in marks.to_pylist()]
    return pa.array(found, pa.string())
