"""Pictures of rows are found by number, one row group in memory."""

from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder._inputs.embedded import dataset_images, parquet_images
from beholder.errors import DataError, ImageError
from beholder.storage import Place


def write(path: Path, cells: list[object], group: int = 3) -> Place:
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pa.table({"seed": list(range(len(cells))), "image": pa.array(cells, kind)})
    pq.write_table(table, path, row_group_size=group)
    return Place(path)


def test_a_row_group_is_read_once_for_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = write(tmp_path / "t.parquet", [{"bytes": bytes([n]), "path": None} for n in range(8)])
    read = pq.ParquetFile.read_row_group
    groups: list[int] = []

    def watched(file: pq.ParquetFile, group: int, **columns: object) -> object:
        groups.append(group)
        assert columns == {"columns": ["image"]}
        return read(file, group, **columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", watched)
    with parquet_images(place) as find:
        assert [find(str(row)) for row in range(8)] == [bytes([n]) for n in range(8)]
        assert groups == [0, 1, 2]
        assert find("0") == b"\0"
        found = find("8")
    assert isinstance(found, ImageError)
    assert "has no row 8" in str(found)


def test_paths_are_relative_to_the_file_and_nothing_is_an_error(tmp_path: Path) -> None:
    cells = [{"bytes": None, "path": "a.png"}, {"bytes": None, "path": "/x/a.png"}, None]
    with parquet_images(write(tmp_path / "t.parquet", list(cells))) as find:
        assert [find("0"), find("1")] == [f"{tmp_path}/a.png", "/x/a.png"]
        assert isinstance(find("2"), ImageError)


def test_a_damaged_row_group_fails_alone(tmp_path: Path) -> None:
    place = write(
        tmp_path / "t.parquet", [{"bytes": bytes([n]) * 900, "path": None} for n in range(4)], 2
    )
    whole = bytearray((tmp_path / "t.parquet").read_bytes())
    start = pq.ParquetFile(tmp_path / "t.parquet").metadata.row_group(0).column(1).data_page_offset
    whole[start : start + 40] = b"\xff" * 40
    (tmp_path / "t.parquet").write_bytes(whole)
    with parquet_images(place) as find:
        found = find("0")
        assert isinstance(found, ImageError)
        assert found.code == "corrupt"
        assert find("3") == b"\3" * 900


def test_tables_without_pictures_say_so(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "t.parquet")
    with (
        pytest.raises(DataError, match="has no picture column; it has x"),
        parquet_images(Place(tmp_path / "t.parquet")),
    ):
        pass
    with pytest.raises(DataError, match="damaged or no saved data set"):
        dataset_images(tmp_path)


def test_rows_of_a_saved_data_set(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"img": [b"a", b"b"]}).save_to_disk(tmp_path / "s")
    find = dataset_images(tmp_path / "s")
    assert [find("0"), find("1")] == [b"a", b"b"]
    assert isinstance(find("2"), ImageError)
