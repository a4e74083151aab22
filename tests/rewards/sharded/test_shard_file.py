"""The files of a run stack: few types, whatever the columns hold, and a footer."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder._run_folder import FOOTER
from beholder.errors import DataError
from beholder.rewards.sharded.shard_file import parquet_bytes, shard_table


def written(rows: list[dict[str, object]], scores: dict[str, list[object]]) -> pa.Table:
    file = parquet_bytes(shard_table(rows, {"r": scores}, b"said"))
    return pq.read_table(pa.BufferReader(file))


def row(key: str, **extra: object) -> dict[str, object]:
    return {**extra, "key": key, "image": f"/{key}", "prompt": None}


def test_columns_have_few_types_and_their_order() -> None:
    rows = [
        row("a", n=1, f=0.5, b=True, t="x", mixed=1, nested={"k": [1]}, nothing=None, big=2**60),
        row("b", n=None, f=2, b=None, t="y", mixed="z", nested=[2], late=3),
    ]
    table = written(rows, {"r.total": [0.5, None], "r.error": [None, "truncated: x"]})
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "key": "string",
        "image": "string",
        "prompt": "string",
        "n": "double",
        "f": "double",
        "b": "bool",
        "t": "string",
        "mixed": "string",
        "nested": "string",
        "nothing": "string",
        "big": "string",
        "late": "double",
        "r.total": "float",
        "r.error": "string",
    }
    assert list(types)[:3] == ["key", "image", "prompt"]
    assert table["nested"].to_pylist() == ['{"k": [1]}', "[2]"]
    assert table["big"].to_pylist() == [str(2**60), None]
    assert table["late"].to_pylist() == [None, 3.0]
    assert table["mixed"].to_pylist() == ["1", "z"]
    assert table.schema.metadata[FOOTER] == b"said"


def test_text_that_utf8_cannot_hold_is_written_out() -> None:
    table = written([row("\ud800")], {"r.total": [1.0], "r.error": [None]})
    assert table["key"].to_pylist() == ["\\ud800"]


def test_an_input_column_may_not_pass_for_a_score() -> None:
    with pytest.raises(DataError, match=r"has a column 'r\.total' already"):
        written([row("a", **{"r.total": 1})], {"r.total": [1.0], "r.error": [None]})


def test_a_column_name_that_utf8_cannot_hold_is_written_out() -> None:
    table = written([row("a", **{"\ud800x": 1})], {"r.total": [0.5], "r.error": [None]})
    assert table["\\ud800x"].to_pylist() == [1.0]
