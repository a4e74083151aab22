"""A picture is told by its suffix, or by its first bytes where the suffix says nothing."""

from pathlib import PurePosixPath

import pytest

from beholder._inputs.picture_names import is_picture_name, suffix_of


def never() -> bytes:
    raise AssertionError("a suffix is enough")


@pytest.mark.parametrize("name", ["a.png", "deep/a.JPEG", "x.y.webp", "a.heic"])
def test_a_suffix_is_enough(name: str) -> None:
    assert is_picture_name(name, never)


@pytest.mark.parametrize(
    ("head", "is_one"),
    [
        (b"\xff\xd8\xff\xe0" + bytes(12), True),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", True),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", False),
        (b"BM\x00\x00\x00\x00\x00\x00\x00\x00", True),
        (b"BMW is a word!!!", False),
        (b"", False),
    ],
)
def test_other_files_are_told_by_their_first_bytes(head: bytes, is_one: bool) -> None:
    assert is_picture_name("a.bin", lambda: head) is is_one


@pytest.mark.parametrize(
    "name", ["a.jpg", "a/b.c/d", "x/.hidden", "a.", "a.b.png", "a/b.", ".a.b", "", "a/"]
)
def test_a_suffix_is_what_pathlib_calls_it(name: str) -> None:
    assert suffix_of(name) == ("" if name.endswith("/") else PurePosixPath(name).suffix)
