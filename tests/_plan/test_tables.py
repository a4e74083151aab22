"""Parquet files are cut at row groups where keys follow from the rows, else they are listed."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder._inputs.sources import Tables, classified
from beholder._plan.tables import table_shards
from beholder._run_folder import Shard
from beholder.errors import DataError
from beholder.storage import Place
from tests._plan.sources import all_named, embedded, named, paths, with_keys


def shards(source: str, lists: Path, shard_size: int) -> list[Shard]:
    tables = classified(source)
    assert isinstance(tables, Tables)
    return list(table_shards(tables, Place(lists), shard_size))


def test_row_groups_are_gathered_up_to_the_size(tmp_path: Path) -> None:
    found = shards(embedded(tmp_path), tmp_path / "lists", 6)
    assert [(s.name, s.first, s.stop, s.rows, s.before) for s in found] == [
        ("a-00000", 0, 2, 6, 0),
        ("a-00001", 2, 4, 4, 6),
        ("b-00000", 0, 2, 6, 10),
        ("b-00001", 2, 3, 1, 16),
        ("deep-a", 0, 1, 1, 17),
    ]
    assert not (tmp_path / "lists").exists()
    one_each = shards(str(tmp_path / "in"), tmp_path / "lists", 1)
    assert [s.rows for s in one_each] == [3, 3, 3, 1, 3, 3, 1, 1], "a row group is never cut"


def test_tables_whose_keys_need_all_files_are_listed(tmp_path: Path) -> None:
    for source in (named, all_named, paths):
        folder = tmp_path / source.__name__
        folder.mkdir()
        found = shards(source(folder), folder / "lists", 4)
        assert {s.kind for s in found} == {"list"}
    (tmp_path / "keys").mkdir()
    assert {s.kind for s in shards(with_keys(tmp_path / "keys"), tmp_path, 4)} == {"parquet"}


def test_pictures_are_not_read_for_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    read = pq.ParquetFile.iter_batches

    def watched(
        file: pq.ParquetFile, *args: object, columns: list[str], **kwargs: object
    ) -> object:
        asked.append(columns)
        return read(file, *args, columns=columns, **kwargs)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    shards(all_named(tmp_path), tmp_path / "lists", 4)
    assert {tuple(columns) for columns in asked} == {("prompt", "image.path")}


def test_a_key_that_repeats_is_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"key": ["a", "b", "a"], "image": [b"x"] * 3}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet: 1 keys occur twice"):
        shards(str(tmp_path / "t.parquet"), tmp_path / "lists", 4)


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="damaged or no parquet file"):
        shards(str(tmp_path / "t.parquet"), tmp_path / "lists", 4)


def test_lists_of_embedded_pictures_end_where_row_groups_do(tmp_path: Path) -> None:
    cells = [{"bytes": b"x", "path": f"{n}.png"} for n in range(10)]
    pq.write_table(pa.table({"image": cells}), tmp_path / "t.parquet", row_group_size=4)
    for size, expected in ((1, [4, 4, 2]), (6, [4, 6]), (9, [8, 2]), (99, [10])):
        found = shards(str(tmp_path / "t.parquet"), tmp_path / "lists", size)
        assert [s.rows for s in found] == expected
        assert found[0].kind == "list"
    pq.write_table(pa.table({"image": list("abcdefghij")}), tmp_path / "p.parquet")
    found = shards(str(tmp_path / "p.parquet"), tmp_path / "lists", 4)
    assert [s.rows for s in found] == [4, 4, 2], "paths are cut anywhere"
