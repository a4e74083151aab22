from pathlib import Path

import pytest

from beholder.annotation.records.embedding import embed_picture, unpack_picture
from beholder.errors import DataError


def test_bytes_go_in_and_come_out_under_a_name_of_their_content(tmp_path: Path) -> None:
    (tmp_path / "x.PNG").write_bytes(b"pixels")
    cell = embed_picture(str(tmp_path / "x.PNG"), "k")
    assert cell == {"bytes": b"pixels", "path": "x.PNG"}
    path = Path(unpack_picture(cell, tmp_path / "out"))
    assert path.read_bytes() == b"pixels"
    assert path.suffix == ".png"
    assert unpack_picture({"bytes": b"pixels", "path": "other.png"}, tmp_path / "out") == str(path)
    assert [p.name for p in (tmp_path / "out").iterdir()] == [path.name]


def test_a_picture_by_path_is_not_copied(tmp_path: Path) -> None:
    assert unpack_picture("/a.png", tmp_path) == "/a.png"
    assert unpack_picture({"bytes": None, "path": "/a.png"}, tmp_path) == "/a.png"


def test_a_name_in_a_cell_cannot_leave_the_folder(tmp_path: Path) -> None:
    cell = {"bytes": b"x", "path": "../../evil.sh/.png x/../y"}
    assert Path(unpack_picture(cell, tmp_path)).parent == tmp_path


def test_what_is_no_file_or_no_picture_is_refused(tmp_path: Path) -> None:
    for path in ("https://host/x.png", str(tmp_path), "a\0b"):
        with pytest.raises(DataError, match="k: cannot embed"):
            embed_picture(path, "k")
    with pytest.raises(DataError, match="neither bytes nor a path"):
        unpack_picture({"bytes": None, "path": None}, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="pass pictures=FOLDER"):
        unpack_picture({"bytes": b"x", "path": None}, tmp_path / "file")
