"""A table that grew row by row reads in slices that together are the whole."""

from pathlib import Path

import pytest

from beholder._tables import appended_table as _appended_table
from beholder._tables.appended_table import AppendedTable
from beholder.errors import DataError
from beholder.tables import ScoreTable


def test_parts_are_slices_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_appended_table, "PART_ROWS", 2)
    with ScoreTable(tmp_path).writing() as writer:
        writer.add_inputs([{"key": k, "image": k, "prompt": k} for k in "abcde"])
    table = ScoreTable(tmp_path)
    parts = [part["key"].to_pylist() for part in table.parts(["key"])]
    assert parts == [["a", "b"], ["c", "d"], ["e"]]
    assert table.read().equals(AppendedTable(tmp_path).read())


def test_a_folder_without_a_table_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no score table"):
        next(AppendedTable(tmp_path).parts())
