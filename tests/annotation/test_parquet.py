from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder.annotation.parquet import Columns, read_rows, write_folder
from beholder.errors import DataError

COLUMNS: Columns = {"key": "string", "prompt": "string"}
NUMBERS: Columns = {"p_": "float64"}
ROWS: list[dict[str, object]] = [
    {"key": "k", "prompt": "x", "p_overall": 0.1},
    {"key": "m", "prompt": "猫", "p_overall": None},
]


def write(folder: Path) -> None:
    write_folder(folder, {**COLUMNS, "p_overall": "float64"}, iter(ROWS), "# Card\n")


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
        write_folder(tmp_path, {**COLUMNS, "p_overall": "float64"}, broken, "")
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
