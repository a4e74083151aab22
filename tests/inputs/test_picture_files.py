import os
import socket
from pathlib import Path

import pytest

from beholder._inputs.picture_files import check_bytes, picture_format, read_file
from beholder.errors import ImageError


def test_a_regular_file_is_read_whole_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    with pytest.raises(ImageError, match="5 bytes are over the limit of 4") as caught:
        read_file(path, 4)
    assert caught.value.code == "too-large"


def test_what_is_not_a_file_is_refused_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    server = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(tmp_path)  # socket paths must be short
    server.bind("socket")
    monkeypatch.setattr(os, "open", None)
    for name in ("pipe", "socket", "."):
        with pytest.raises(ImageError, match="regular file") as caught:
            read_file(name, 10)
        assert caught.value.code == "not-a-file"
    server.close()


def test_a_file_that_turns_into_a_pipe_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"x")
    before = (tmp_path / "file").stat()
    monkeypatch.setattr(Path, "stat", lambda _: before)
    with pytest.raises(ImageError, match="pipe") as caught:
        read_file(tmp_path / "pipe", 10)
    assert caught.value.code == "not-a-file"


def test_a_file_that_may_not_be_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    (tmp_path / "a").write_bytes(b"x")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ImageError, match="permission denied") as caught:
        read_file(tmp_path / "a", 10)
    assert caught.value.code == "unreadable"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere.png", "no such file"),
        ("file/below.png", "no such file"),
        ("dangling", "link to a file"),
        ("s3://bucket/a.png", "download"),
    ],
)
def test_a_missing_file_is_told_apart(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("dangling").symlink_to("gone")
    with pytest.raises(ImageError, match=reason) as caught:
        read_file(name, 10)
    assert caught.value.code == "missing"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"BM....", "BMP"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WEBP"),
    ],
)
def test_formats_are_known_by_their_first_bytes(data: bytes, kind: str) -> None:
    assert picture_format(data) == kind


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\xef\xbb\xbf\r\n <!DOCTYPE HTML>", "HTML page"),
        (b"<html lang=en>", "HTML page"),
        (b"  <svg viewBox=''>", "SVG"),
        (b"<?xml version='1.0'?>", "XML"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypmif1", "HEIC"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
        (b"\0\0\0\x18ftypisom", "video"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"8BPS", "Photoshop"),
        (b"%PDF-1.7", "PDF"),
        (b"%!PS-Adobe", "PostScript"),
        (b"\xff\x0a\0", "JPEG XL"),
        (b"PK\x03\x04", "ZIP"),
        (b"RIFF\0\0\0\0WAVE", "not a known picture format"),
    ],
)
def test_other_formats_get_a_hint_and_the_list_of_known_ones(data: bytes, hint: str) -> None:
    with pytest.raises(ImageError, match=f"{hint}.*expected JPEG, PNG, WebP, GIF or BMP") as caught:
        picture_format(data)
    assert caught.value.code == "format"


def test_the_byte_limit_is_inclusive() -> None:
    check_bytes(7, 7)
    with pytest.raises(ImageError, match="8 bytes"):
        check_bytes(8, 7)
