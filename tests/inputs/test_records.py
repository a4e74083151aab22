"""Manifests give their records, or say which line is malformed."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder._inputs.records import (
    column_of,
    manifest_records,
    name_of_column,
    parquet_records,
)
from beholder.errors import DataError
from beholder.inputs import read_inputs


def test_quoted_cells_keep_delimiters_and_line_breaks(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text('image,prompt\r\na.png,"a, ""b""\nc"\r\n\r\n')
    records = manifest_records(tmp_path / "m.csv")
    assert list(records.read()) == [{"image": "a.png", "prompt": 'a, "b"\nc'}]
    assert records.count() == 1


def test_bytes_that_are_no_text_spoil_their_row_only(tmp_path: Path) -> None:
    (tmp_path / "m.tsv").write_bytes(b"image\tprompt\na.png\t\xff\nb.png\tok\n")
    rows = list(manifest_records(tmp_path / "m.tsv").read())
    assert [row["prompt"] for row in rows] == ["\udcff", "ok"]


def test_parquet_files_follow_one_another(tmp_path: Path) -> None:
    paths = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    pq.write_table(pa.table({"image": ["a"]}), paths[0])
    pq.write_table(pa.table({"image": ["b", "c"], "seed": [1, 2]}), paths[1])
    records = parquet_records(paths)
    assert [record["image"] for record in records.read()] == ["a", "b", "c"]
    assert records.columns == ["image", "seed"]
    assert records.count() == 3


def test_columns_are_found_by_their_aliases_first_one_first() -> None:
    assert column_of("image", ["path", "File_Name", "text"]) == "File_Name"
    assert column_of("prompt", ["path", "File_Name", "text"]) == "text"
    assert column_of("key", ["path"]) is None


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("m.csv", "a,b\n1,2\n", r"no picture column; it has a, b, expected one of image"),
        ("m.csv", "image,prompt\na.png,x,y\n", "line 2: 3 cells, but the header has 2"),
        ("m.csv", "image,prompt\n", "holds no records"),
        ("m.jsonl", '{"image": "a"}\n{oops}\n', "line 2: not JSON"),
        ("m.jsonl", "[1]\n", "line 1: expected an object"),
        ("m.parquet", "text", "damaged or no parquet"),
    ],
)
def test_malformed_manifests_say_where(tmp_path: Path, name: str, content: str, match: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=match):
        list(read_inputs(tmp_path / name))


def test_texts_of_parquet_that_are_no_utf8_spoil_their_row_only(tmp_path: Path) -> None:
    bad = pa.array([b"\xff fox", b"ok", None], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, bad.buffers())
    inner = pa.StructArray.from_arrays([text, pa.array([1, 2, 3])], ["path", "n"])
    listed = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3]), text)
    table = pa.table({"prompt": text, "image": inner, "tags": listed})
    pq.write_table(table, tmp_path / "t.parquet")
    rows = list(parquet_records([tmp_path / "t.parquet"]).read())
    assert [row["prompt"] for row in rows] == ["\udcff fox", "ok", None]
    assert rows[0]["image"] == {"path": "\udcff fox", "n": 1}
    assert [row["tags"] for row in rows] == [["\udcff fox"], ["ok"], [None]]


def test_numbers_of_thousands_of_digits_stay_text(tmp_path: Path) -> None:
    digits = "7" * 5000
    (tmp_path / "m.jsonl").write_text(f'{{"image": "a", "n": {digits}}}\n{{"image": "b", "n": 3}}')
    rows = list(manifest_records(tmp_path / "m.jsonl").read())
    assert [row["n"] for row in rows] == [digits, 3]


def test_names_of_columns_can_be_stored(tmp_path: Path) -> None:
    assert [name_of_column(n) for n in ("a", "é", "\ud800")] == ["a", "é", "\\ud800"]
    (tmp_path / "m.jsonl").write_text('{"image": "a", "\\ud800": 1}')
    (row,) = read_inputs(tmp_path / "m.jsonl")
    assert row.extra == {"\\ud800": 1}
