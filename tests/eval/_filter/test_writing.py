"""What is written depends on the rows, not on how they came."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder.eval._filter import writing
from beholder.eval._filter.writing import write_rows
from tests.eval.filtered import HeldRows

TABLE = pa.table({"key": [f"ü{k}" for k in range(25)], "x": [k / 4 for k in range(25)]})


def test_the_same_rows_are_the_same_bytes_however_they_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "ROW_GROUP", 10)
    for part in (1, 7, 25):
        assert write_rows(HeldRows(TABLE, part).parts(), tmp_path / f"rows{part}") == 25
    for suffix in (".parquet", ".jsonl"):
        contents = {(tmp_path / f"rows{part}{suffix}").read_bytes() for part in (1, 7, 25)}
        assert len(contents) == 1
    file = pq.ParquetFile(tmp_path / "rows7.parquet")
    groups = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    assert groups == [10, 10, 5]
    assert file.read().equals(TABLE)
    lines = (tmp_path / "rows1.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines[2] == '{"key": "ü2", "x": 0.5}'
    assert [json.loads(line) for line in lines] == TABLE.to_pylist()


def test_no_row_is_a_table_with_columns(tmp_path: Path) -> None:
    empty = TABLE.slice(0, 0)
    assert write_rows([empty, empty], tmp_path / "none", jsonl=False) == 0
    assert pq.read_table(tmp_path / "none.parquet").schema == TABLE.schema
    assert not (tmp_path / "none.jsonl").exists()
