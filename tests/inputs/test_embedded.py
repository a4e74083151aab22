"""Pictures of rows are found by number, one row group in memory."""

from collections.abc import Iterator
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder._inputs import embedded
from beholder._inputs.embedded import dataset_images, parquet_images
from beholder.errors import DataError, ImageError
from beholder.storage import Place


def write(path: Path, cells: list[object], group: int = 3) -> Place:
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pa.table({"seed": list(range(len(cells))), "image": pa.array(cells, kind)})
    pq.write_table(table, path, row_group_size=group)
    return Place(path)


@pytest.mark.parametrize(("in_memory", "sizes"), [(10**6, [3, 3, 2]), (0, [2, 2, 2])])
def test_a_row_group_is_read_once_for_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int, sizes: list[int]
) -> None:
    place = write(tmp_path / "t.parquet", [{"bytes": bytes([n]), "path": None} for n in range(8)])
    read = pq.ParquetFile.iter_batches
    asked: list[tuple[int, int]] = []

    def watched(
        file: pq.ParquetFile, size: int, groups: list[int], columns: list[str]
    ) -> Iterator[pa.RecordBatch]:
        asked.append((groups[0], size))
        assert columns == ["image"]
        batches: Iterator[pa.RecordBatch] = read(file, size, groups, columns=columns)
        return batches

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    monkeypatch.setattr(embedded, "IN_MEMORY", in_memory)
    monkeypatch.setattr(embedded, "_BATCH", 2)
    with parquet_images(place) as find:
        assert [find(str(row)) for row in range(8)] == [bytes([n]) for n in range(8)]
        assert asked == list(enumerate(sizes)), "a large one a few rows at a time"
        assert [find(row) for row in ("2", "0", "4")] == [b"\2", b"\0", b"\4"]
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
