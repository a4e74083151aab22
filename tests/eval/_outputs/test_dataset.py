import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder.errors import ImageError
from beholder.eval._outputs.dataset import DatasetWriter
from beholder.eval._outputs.rows import KeptRow
from tests.eval._outputs.rows_of import picture, row

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("image", pa.string()),
        ("tiny.total", pa.float32()),
        ("when", pa.timestamp("us")),
        ("words", pa.list_(pa.string())),
    ]
)


def kept(key: str, data: bytes) -> KeptRow:
    columns = {"key": key, "image": "i", "tiny.total": 0.5, "when": None, "words": ["ö", "b"]}
    return KeptRow(columns, key, f"{key}.png", None, data)


def test_features_name_every_column_and_what_has_no_name_is_json(tmp_path: Path) -> None:
    data = picture(tmp_path / "a.png").read_bytes()
    writer = DatasetWriter(tmp_path, SCHEMA, per_shard=2)
    marks = [writer.add(kept(key, data)) for key in "abc"]
    writer.close()
    assert [writer.place(mark) for mark in marks] == [
        "data/train-00000-of-00002.parquet#0",
        "data/train-00000-of-00002.parquet#1",
        "data/train-00001-of-00002.parquet#0",
    ]
    first = pq.read_table(tmp_path / "data/train-00000-of-00002.parquet")
    features = json.loads(first.schema.metadata[b"huggingface"])["info"]["features"]
    assert features == {
        "image": {"_type": "Image"},
        "key": {"dtype": "string", "_type": "Value"},
        "tiny.total": {"dtype": "float32", "_type": "Value"},
        "when": {"dtype": "string", "_type": "Value"},
        "words": {"dtype": "string", "_type": "Value"},
    }
    assert first.to_pylist()[1] == {
        "image": {"bytes": data, "path": "b.png"},
        "key": "b",
        "tiny.total": 0.5,
        "when": None,
        "words": '["ö", "b"]',
    }


def test_large_pictures_are_written_group_by_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beholder.eval._outputs.dataset._GROUP_BYTES", 3)
    writer = DatasetWriter(tmp_path, SCHEMA, per_shard=10)
    for key in "abc":
        writer.add(kept(key, b"12"))
    writer.close()
    file = pq.ParquetFile(tmp_path / "data/train-00000-of-00001.parquet")
    assert [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)] == [2, 1]


def test_no_rows_make_a_data_set_with_columns(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path, SCHEMA, per_shard=10)
    with pytest.raises(ImageError):
        writer.add(row("k", tmp_path / "gone.png"))
    writer.close()
    (path,) = (tmp_path / "data").iterdir()
    assert path.name == "train-00000-of-00001.parquet"
    assert pq.read_table(path).column_names == ["image", "key", "tiny.total", "when", "words"]
    assert "path: data/train-*" in (tmp_path / "README.md").read_text()
