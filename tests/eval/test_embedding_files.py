from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beholder.errors import DataError
from beholder.eval._embedding_files import errors_of, errors_text, read_raw, write_raw

VALUES = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
KEYS = ["a.png", "b/ö.png", "c"]


def as_parquet(path: Path, column: pa.Array, keys: list[str] = KEYS, name: str = "e") -> Path:
    pq.write_table(pa.table({"key": keys, "caption": ["x"] * len(keys), name: column}), path)
    return path


def of(kind: pa.DataType) -> pa.Array:
    return pa.array(
        [
            row.astype(np.float16) if kind.value_type == pa.float16() else row.tolist()
            for row in VALUES
        ],
        kind,
    )


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float16()),
        pa.list_(pa.float32()),
        pa.large_list(pa.float64()),
        pa.list_(pa.float32(), 2),
    ],
    ids=str,
)
def test_lists_of_any_kind_and_precision_are_rows(tmp_path: Path, kind: pa.DataType) -> None:
    keys, values, _ = read_raw(as_parquet(tmp_path / "e.parquet", of(kind)))
    assert keys == KEYS
    assert values.dtype == np.float32
    assert values.tolist() == VALUES.tolist()


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 2)], ids=str)
def test_a_missing_list_is_a_row_of_nan_in_its_place(tmp_path: Path, kind: pa.DataType) -> None:
    column = pa.array([[1, 2], None, [5, 6]], kind)
    _, values, _ = read_raw(as_parquet(tmp_path / "e.parquet", column))
    assert np.isnan(values).all(axis=1).tolist() == [False, True, False]
    assert values[2].tolist() == [5, 6]


def test_shards_of_a_folder_follow_one_another_by_name(tmp_path: Path) -> None:
    for name, rows in (("1.parquet", [2]), ("0.parquet", [0, 1]), ("_tmp.parquet", [0])):
        column = pa.array(VALUES[rows].tolist(), pa.list_(pa.float32()))
        as_parquet(tmp_path / name, column, [KEYS[row] for row in rows])
    keys, values, _ = read_raw(tmp_path)
    assert keys == KEYS
    assert values.tolist() == VALUES.tolist()
    as_parquet(tmp_path / "0a.parquet", pa.array([None], pa.list_(pa.float32())), ["none"])
    as_parquet(tmp_path / "0-first.parquet", pa.array([None], pa.list_(pa.float32())), ["first"])
    keys, values, _ = read_raw(tmp_path)
    assert keys == ["first", *KEYS[:2], "none", KEYS[2]]
    assert np.isnan(values).all(axis=1).tolist() == [True, False, False, True, False]
    as_parquet(tmp_path / "2.parquet", pa.array([[1.0]], pa.list_(pa.float32())), ["d"])
    with pytest.raises(
        DataError, match=r"2\.parquet has rows of 1 values, the shards before it of 2"
    ):
        read_raw(tmp_path)


def test_arrays_have_their_keys_inside_or_beside_them(tmp_path: Path) -> None:
    write_raw(tmp_path / "e.npz", KEYS, VALUES, {"name": "x"})
    assert read_raw(tmp_path / "e.npz")[0] == KEYS
    assert read_raw(tmp_path / "e.npz")[2] == {"name": "x"}
    np.save(tmp_path / "e.npy", VALUES)
    with pytest.raises(DataError, match=r"e\.keys\.txt does not exist"):
        read_raw(tmp_path / "e.npy")
    (tmp_path / "e.keys.txt").write_text("\n".join(KEYS) + "\n", encoding="utf-8")
    keys, values, _ = read_raw(tmp_path / "e.npy")
    assert (keys, values.tolist()) == (KEYS, VALUES.tolist())


def test_what_is_not_embeddings_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    ragged = pa.array([[1.0], [1.0, 2.0], None], pa.list_(pa.float32()))
    two = pa.table({"key": ["a"], "e": [[1.0]], "f": [[1.0]]})
    pq.write_table(two, tmp_path / "two.parquet")
    pq.write_table(two.drop_columns(["key"]), tmp_path / "keyless.parquet")
    as_parquet(tmp_path / "ragged.parquet", ragged)
    np.savez(tmp_path / "other.npz", x=VALUES)
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")
    (tmp_path / "empty").mkdir()
    for name, said in {
        "absent.npz": "does not exist",
        "two.parquet": "several columns of lists: e, f",
        "keyless.parquet": 'expected "key"',
        "ragged.parquet": "rows of different lengths",
        "other.npz": 'holds x, expected the arrays "keys"',
        "damaged.parquet": "cannot read",
        "empty": "holds no parquet",
    }.items():
        with pytest.raises(DataError, match=said):
            read_raw(tmp_path / name)
    with pytest.raises(DataError, match=r"written as \.npz"):
        write_raw(tmp_path / "e.txt", KEYS, VALUES, {})


def test_errors_survive_being_written() -> None:
    assert errors_of(errors_text({3: "missing: «no»"})) == {3: "missing: «no»"}
