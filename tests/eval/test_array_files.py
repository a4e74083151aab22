from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from beholder.errors import DataError
from beholder.eval._array_files import (
    array_names,
    array_shape,
    read_about,
    read_arrays,
    write_arrays,
)

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors"])
def test_what_was_written_comes_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_arrays(path, {"x": VALUES, "y": VALUES.T}, {"kind": "test", "über": "1"})
    assert sorted(array_names(path)) == ["x", "y"]
    assert array_shape(path, "y") == (4, 3)
    assert read_about(path) == {"kind": "test", "über": "1"}
    np.testing.assert_array_equal(read_arrays(path)["y"], VALUES.T)
    assert list(read_arrays(path, ["x"])) == ["x"]
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_an_npy_is_mapped_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, VALUES)
    found = read_arrays(path)[""]
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, VALUES)
    assert (array_names(path), array_shape(path, ""), read_about(path)) == ([""], (3, 4), {})


def test_a_shape_is_known_without_reading_the_array(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, pictures=np.zeros((2, 5, 5, 3), np.uint8))
    assert array_shape(path, "pictures") == (2, 5, 5, 3)
    with pytest.raises(DataError, match="cannot read"):
        array_shape(path, "others")


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".safetensors"])
def test_damaged_and_missing_files_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(DataError, match=r"cannot read .*/a"):
        read_arrays(path)
    path.write_bytes(b"no array at all" * 10)
    with pytest.raises(DataError, match=r"cannot read .*/a"):
        read_arrays(path)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_truncated_files_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_arrays(path, {"x": VALUES}, {})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"cannot read .*/a"):
        read_arrays(path)


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    pickled = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "a.npz", bad=pickled, good=VALUES)
    np.save(tmp_path / "a.npy", pickled)
    with pytest.raises(DataError, match="allow_pickle"):
        read_arrays(tmp_path / "a.npz")
    with pytest.raises(DataError, match="cannot read"):
        read_arrays(tmp_path / "a.npy")
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.npz", ["good"])["good"], VALUES)


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of .npz"):
        read_arrays(tmp_path / "a.pt")
    with pytest.raises(DataError, match=r"write .safetensors or .npz"):
        write_arrays(tmp_path / "a.npy", {"x": VALUES}, {})


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_two_writers_of_one_file_do_not_meet(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    replace = Path.replace

    def interrupted(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", replace)
        write_arrays(path, {"x": VALUES}, {})  # another run writes just before this one is done
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    write_arrays(path, {"x": 2 * VALUES}, {})
    np.testing.assert_array_equal(read_arrays(path)["x"], 2 * VALUES)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_failed_write_leaves_the_file_as_it_was_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_arrays(path, {"x": VALUES}, {})
    with pytest.raises(ValueError, match="Object arrays"):
        write_arrays(path, {"x": VALUES, "y": np.array([{}], dtype=object)}, {})
    np.testing.assert_array_equal(read_arrays(path)["x"], VALUES)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
