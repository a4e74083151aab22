"""Kept pictures as a folder that `datasets.load_dataset` reads: parquet with pictures inside.

    data/train-00000-of-00007.parquet    image (bytes and where they came from), every other column
    README.md                            which files are the split

The features are written into each file as `datasets` does, so that the column `image` opens as
pictures there and on a hub.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from beholder.eval._outputs.rows import KeptRow, as_json, encoded, writing
from beholder.eval._outputs.writer import PictureWriter

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

IMAGE = "image"
_GROUP_ROWS = 128
_GROUP_BYTES = 32 * 2**20
_NAMES = {"float": "float32", "double": "float64", "halffloat": "float16"}
_README = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
---

Pictures that `beholder filter` kept, with their prompts and scores.
"""


class DatasetWriter(PictureWriter):
    """Fills parquet files with `per_shard` rows each; they get their names at the end."""

    def __init__(self, folder: Path, schema: pa.Schema, *, per_shard: int) -> None:
        self._folder, self._per_shard = folder, per_shard
        (folder / "data").mkdir(exist_ok=True)
        self._schema = _with_pictures(schema)
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[dict[str, Any]] = []
        self._bytes = self._rows = 0

    @override
    def add(self, row: KeptRow) -> str:
        """A mark of the shard and row of the picture, for `place`; ImageError if it is gone."""
        data = encoded(row.source)
        if self._rows == self._per_shard:
            self._end_shard()
        self._waiting.append(self._values(row, data))
        self._bytes += len(data)
        self._rows += 1
        place = f"{self.files - (self._writer is not None)}#{self._rows - 1}"
        if len(self._waiting) == _GROUP_ROWS or self._bytes > _GROUP_BYTES:
            self._flush()
        return place

    @override
    def close(self) -> None:
        """End the last shard and give every shard its name."""
        self._end_shard()
        if not self.files:
            self._open()  # a data set without rows has its columns
            self._end_shard()
        with writing(self._folder):
            for number in range(self.files):
                self._path(number).replace(self._folder / self._name(number))
            (self._folder / "README.md").write_text(_README, encoding="utf-8")

    @override
    def abandon(self) -> None:
        if self._writer is not None:
            with suppress(OSError):  # a full disk, which `writing` has told of
                self._writer.close()

    @override
    def place(self, mark: str) -> str:
        """Where the picture of a mark is, "data/<file>#<row>", once all is closed."""
        number, _, row = mark.partition("#")
        return f"{self._name(int(number))}#{row}"

    def _name(self, number: int) -> str:
        return f"data/train-{number:05d}-of-{self.files:05d}.parquet"

    def _values(self, row: KeptRow, data: bytes) -> dict[str, Any]:
        values: dict[str, Any] = {IMAGE: {"bytes": data, "path": row.image}}
        for field in self._schema:
            if field.name != IMAGE:
                values[field.name] = _cell(row.columns[field.name], field)
        return values

    def _flush(self) -> None:
        import pyarrow as pa  # noqa: PLC0415

        with writing(self._folder):
            table = pa.Table.from_pylist(self._waiting, schema=self._schema)
            (self._writer or self._open()).write_table(table)
        self._waiting, self._bytes = [], 0

    def _open(self) -> pq.ParquetWriter:
        import pyarrow.parquet as pq  # noqa: PLC0415

        self._writer = pq.ParquetWriter(self._path(self.files), self._schema)
        self.files += 1
        return self._writer

    def _end_shard(self) -> None:
        if self._waiting:
            self._flush()
        if self._writer is not None:
            with writing(self._folder):
                self._writer.close()
        self._writer, self._rows = None, 0

    def _path(self, number: int) -> Path:
        return self._folder / "data" / f".{number}.tmp"


def _with_pictures(schema: pa.Schema) -> pa.Schema:
    """The schema whose `image` holds pictures; what `datasets` cannot name is JSON text."""
    import pyarrow as pa  # noqa: PLC0415

    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    others = [pa.field(f.name, _type(f.type)) for f in schema if f.name != IMAGE]
    features: dict[str, dict[str, str]] = {IMAGE: {"_type": "Image"}}
    for field in others:
        name = str(field.type)
        features[field.name] = {"dtype": _NAMES.get(name, name), "_type": "Value"}
    said = json.dumps({"info": {"features": features}})
    return pa.schema([pa.field(IMAGE, picture), *others], {"huggingface": said})


def _type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import types  # noqa: PLC0415

    plain = (types.is_boolean, types.is_integer, types.is_floating, types.is_string)
    return kind if any(is_it(kind) for is_it in plain) else pa.string()


def _cell(value: object, field: pa.Field) -> object:
    if value is None or str(field.type) != "string" or isinstance(value, str):
        return value
    return json.dumps(json.loads(as_json({"": value})).get(""), ensure_ascii=False)
