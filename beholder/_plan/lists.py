"""Lists of inputs: the rows of a shard, without their pictures, as a small parquet file.

Columns `key`, `image` and `prompt` are bytes of UTF-8, in which lone surrogates stay as they are,
since names of files and prompts may hold bytes that are no text; `extra` is JSON.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from beholder._inputs.rows import Row
from beholder._run_folder import Shard
from beholder.errors import DataError, ImageError
from beholder.storage import Place

_MARK = 32  # hexadecimal digits
_NAMED = 16  # of those in the name of a file


def write_lists(rows: Iterable[Row], folder: Place, sizes: Iterable[int]) -> Iterator[Shard]:
    """A shard for each so many rows, whose list is written before it comes out.

    Files are named after their contents, so that nobody writes over the list of another.
    """
    source = map(_lean, rows)
    for number, size in enumerate(sizes):
        some = list(islice(source, size))
        if not some:
            return
        name = f"part-{number:07d}"
        contents = _packed(some)
        mark = _mark(contents)
        place = folder / f"{name}-{mark[:_NAMED]}.parquet"
        if not place.write_new(contents) and place.read() != contents:
            place.write(contents)  # what lies there is damaged
        yield Shard(
            name=name,
            kind="list",
            source=place.absolute,
            rows=len(some),
            size=len(contents),
            mark=mark,
        )


def read_list(shard: Shard) -> Iterator[Row]:
    """The rows of a list; their pictures are still to be found by `name`.

    Raises DataError if the list is gone, damaged, or not the one that was planned.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    contents = Place(shard.source).read()
    if (len(contents), _mark(contents)) != (shard.size, shard.mark):
        raise DataError(f"{shard.source} is not the list that was planned; plan anew")
    table = pq.read_table(pa.BufferReader(contents))
    for batch in table.to_batches(max_chunksize=1024):
        yield from map(_row, batch.to_pylist())


def _lean(row: Row) -> Row:
    """A row that holds no picture, only whether it has one."""
    if isinstance(row.image, ImageError):  # an address that must not be fetched
        return replace(row, image=None)
    return row if row.image is None or isinstance(row.image, str) else replace(row, image=b"")


def _row(record: dict[str, Any]) -> Row:
    name = _text(record["image"])
    extra = json.loads(record["extra"]) if record["extra"] else {}
    prompt = None if record["prompt"] is None else _text(record["prompt"])
    image = name if record["located"] else None
    return Row(key=_text(record["key"]), image=image, prompt=prompt, name=name, extra=extra)


def _packed(rows: list[Row]) -> bytes:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    table = pa.table(
        {
            "key": pa.array([_bytes(row.key) for row in rows], pa.binary()),
            "image": pa.array([_bytes(row.name) for row in rows], pa.binary()),
            "prompt": pa.array([_bytes(row.prompt) for row in rows], pa.binary()),
            "extra": pa.array([_extra(row) for row in rows], pa.string()),
            "located": pa.array([row.image is not None for row in rows], pa.bool_()),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _extra(row: Row) -> str | None:
    return json.dumps(dict(row.extra), default=str) if row.extra else None


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _mark(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()[:_MARK]
