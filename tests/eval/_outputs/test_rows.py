import errno
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from beholder.errors import DataError, ImageError
from beholder.eval._outputs.rows import as_json, encoded, writing
from tests.eval._outputs.rows_of import picture


def test_bytes_of_a_file_are_untouched_and_an_array_becomes_a_png(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    assert encoded(str(path)) == encoded(path) == path.read_bytes()
    assert encoded(b"anything") == b"anything"
    array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    for source in (array, array.astype(np.float32) / 255):
        back = np.asarray(Image.open(io.BytesIO(encoded(source))))
        assert np.array_equal(back, array)
    with pytest.raises(ImageError, match="no such file"):
        encoded(tmp_path / "gone.png")


def test_a_row_is_strict_json_without_bytes() -> None:
    columns = {"a": float("nan"), "b": [1.5, float("inf")], "c": b"x", "d": {"e": b"x", "f": "ö"}}
    said = as_json(columns)
    assert json.loads(said, parse_constant=pytest.fail) == {
        "a": None,
        "b": [1.5, None],
        "d": {"f": "ö"},
    }


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no space is left for .*; free some"), writing(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(DataError, match="cannot be written: Permission denied"), writing(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")
