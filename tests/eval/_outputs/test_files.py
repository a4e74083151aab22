import errno
import os
from pathlib import Path

import pytest

from beholder.errors import DataError, ImageError
from beholder.eval._outputs.files import FileWriter
from tests.eval._outputs.rows_of import picture, row


def test_a_link_is_the_same_file_and_a_copy_another_with_the_same_bytes(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/a.png")
    for link in (True, False):
        out = tmp_path / f"out-{link}"
        out.mkdir()
        writer = FileWriter(out, link=link)
        place = writer.add(row("sub/a.png", str(source)))
        assert writer.place(place) == "sub/a.png"
        assert (out / place).samefile(source) is link
        assert (out / place).read_bytes() == source.read_bytes()
        assert writer.files == 1


def test_a_picture_out_of_an_archive_is_a_file_of_its_own(tmp_path: Path) -> None:
    data = picture(tmp_path / "a.png").read_bytes()
    writer = FileWriter(tmp_path, link=True)
    assert writer.add(row("k", data, "train.parquet#7")) == "k.png"
    assert (tmp_path / "k.png").read_bytes() == data


def test_a_picture_that_is_gone_or_no_file_is_an_error_of_its_row(tmp_path: Path) -> None:
    writer = FileWriter(tmp_path, link=True)
    for source in (tmp_path / "gone.png", tmp_path):
        with pytest.raises(ImageError, match="no such file"):
            writer.add(row("k", source))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "said"), [(errno.EXDEV, "copy instead"), (errno.ENOSPC, "no space is left")]
)
def test_a_link_that_cannot_be_made_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def refuse(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(DataError, match=said):
        FileWriter(tmp_path, link=True).add(row("k", picture(tmp_path / "a.png")))


def test_keys_of_any_length_and_kind_are_written(tmp_path: Path) -> None:
    source = picture(tmp_path / "from" / ("a." + "é" * 60))
    keys = ["x.png", "x.png/y", "日" * 400, "/".join("日" * 90 for _ in range(60)), "\0", "..", ""]
    writer = FileWriter(made := tmp_path / "made", link=False)
    made.mkdir()
    places = [writer.add(row(key, str(source))) for key in keys]
    assert len({place.lower() for place in places}) == len(keys)
    assert all((made / place).read_bytes() == source.read_bytes() for place in places)
