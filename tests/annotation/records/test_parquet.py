from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder.annotation.records.parquet import Columns, Row, items, read_rows, write_folder
from beholder.errors import DataError

COLUMNS: Columns = {"key": "string", "prompt": "string"}
NUMBERS: Columns = {"p_": "float64"}
ROWS: list[dict[str, object]] = [
    {"key": "k", "prompt": "x", "p_overall": 0.1},
    {"key": "m", "prompt": "猫", "p_overall": None},
]


def write(folder: Path) -> None:
    write_folder(folder, {**COLUMNS, "p_overall": "float64"}, iter(ROWS), lambda: "# Card\n")


def put(folder: Path, table: pa.Table) -> Path:
    path = folder / "data" / "train-00000-of-00001.parquet"
    path.parent.mkdir()
    pq.write_table(table, path)
    return path


def test_rows_come_back_and_other_columns_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path)
    assert list(read_rows(tmp_path, COLUMNS, NUMBERS, "x")) == ROWS
    assert next(read_rows(tmp_path, COLUMNS, {}, "x")) == {"key": "k", "prompt": "x"}
    assert (tmp_path / "README.md").read_text().endswith("---\n\n# Card\n")


def test_writing_again_replaces_but_never_mixes_with_other_files(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path)
    assert len(list(tmp_path.rglob("*"))) == 3
    (tmp_path / "data" / "other.parquet").touch()
    with pytest.raises(DataError, match=r"already holds other\.parquet"):
        write(tmp_path)


def test_a_failed_write_leaves_the_earlier_data_set(tmp_path: Path) -> None:
    write(tmp_path)
    broken = ({"key": key, "prompt": "x", "p_overall": 1 / 0} for key in "ab")
    with pytest.raises(ZeroDivisionError):
        write_folder(tmp_path, {**COLUMNS, "p_overall": "float64"}, broken, str)
    assert list(read_rows(tmp_path, COLUMNS, NUMBERS, "x")) == ROWS
    assert len(list(tmp_path.rglob("*"))) == 3


def test_a_foreign_folder_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no data/\*.parquet; expected what `beholder annotate import` or w"
    ):
        list(read_rows(tmp_path, COLUMNS, NUMBERS, "w"))
    path = put(tmp_path, pa.table({"key": ["k"]}))
    with pytest.raises(DataError, match="not of w: it has no column prompt"):
        list(read_rows(tmp_path, COLUMNS, NUMBERS, "w"))
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="cannot be read"):
        list(read_rows(tmp_path, COLUMNS, NUMBERS, "w"))


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"key": ["k"], "prompt": ["x"], "p_a": ["high"]}, "wrong type"),
        ({"key": ["k"], "prompt": [["x"]], "p_a": [0.5]}, "wrong type"),
        ({"key": ["k"], "prompt": [None], "p_a": [0.5]}, "column prompt has empty cells"),
    ],
)
def test_a_column_of_another_type_is_named(
    columns: dict[str, list[object]], reason: str, tmp_path: Path
) -> None:
    put(tmp_path, pa.table(columns))
    with pytest.raises(DataError, match=reason):
        list(read_rows(tmp_path, COLUMNS, NUMBERS, "w"))


def test_lists_of_objects_come_back_and_the_datasets_library_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    columns: Columns = {**COLUMNS, "spans": [{"start": "int32", "text": "string"}]}
    spans = [{"start": 3, "text": "猫"}, {"start": 5, "text": ""}]
    rows: list[dict[str, object]] = [
        {"key": "k", "prompt": "x", "spans": spans},
        {"key": "l", "prompt": "x", "spans": []},
        {"key": "m", "prompt": "x", "spans": None},
    ]
    write_folder(tmp_path / "d", columns, iter(rows), str)
    found = list(read_rows(tmp_path / "d", columns, {}, "x"))
    assert found == rows
    assert [items(row["spans"]) for row in found] == [tuple(spans), (), ()]
    opened = datasets.load_dataset(
        str(tmp_path / "d"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert opened[0]["spans"] == spans
    assert opened.features["spans"].feature["start"].dtype == "int32"


def test_the_card_is_asked_when_all_rows_were_seen(tmp_path: Path) -> None:
    seen: list[object] = []

    def rows() -> Iterator[Row]:
        for row in ROWS:
            seen.append(row["key"])
            yield row

    write_folder(tmp_path, {**COLUMNS, "p_overall": "float64"}, rows(), lambda: f"Keys: {seen}\n")
    assert (tmp_path / "README.md").read_text().endswith("Keys: ['k', 'm']\n")


def test_a_value_without_a_column_is_not_dropped_in_silence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'k': no column takes p_overall; there are key, prompt"):
        write_folder(tmp_path, COLUMNS, iter(ROWS), str)
