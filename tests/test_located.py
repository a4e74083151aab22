"""A picture is found by what the table says of it, or an error value says why not."""

import os
from pathlib import Path

import numpy as np
import pytest

from beholder._inputs.archives import packed_images
from beholder._tables.shards import storable
from beholder.errors import ImageError
from beholder.images import LIMITS, ImageSource
from beholder.located import Finder, container_of, each_picture, picture_source
from beholder.storage import Place
from tests.archives import encoded, write_archive, write_tar, write_zip


def code(image: ImageSource) -> str:
    assert isinstance(image, ImageError)
    return image.code


def test_containers_are_told_from_folders_and_files_of_such_names(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"b.zip/c.png": encoded(1)})
    (tmp_path / "x.tar").mkdir()
    write_zip(tmp_path / "x.tar/y.zip", {"c.png": encoded(2)})
    (tmp_path / "t.parquet").touch()
    (tmp_path / "t.parquet#1").touch()
    assert container_of(f"{tmp_path}/a.tar/b.zip/c.png") == (f"{tmp_path}/a.tar", "b.zip/c.png")
    assert container_of(f"{tmp_path}/x.tar/y.zip/c.png") == (f"{tmp_path}/x.tar/y.zip", "c.png")
    assert container_of(f"{tmp_path}/t.parquet#0") == (f"{tmp_path}/t.parquet", "0")
    for alone in ("t.parquet#1", "a.png", "a#1", "none.tar/a.png", "x.tar/a.png", "a.tar"):
        assert container_of(f"{tmp_path}/{alone}") == ("", "")
    assert container_of("s3://b/a.tar/b/c.png") == ("s3://b/a.tar", "b/c.png")
    assert container_of("s3://b/a.parquet#17") == ("s3://b/a.parquet", "17")
    assert container_of("s3://b/a.png") == ("", "")


@pytest.mark.parametrize("kind", [".tar", ".zip"])
def test_an_archive_is_opened_once_for_a_run_of_its_pictures(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcdef":
        files = {f"{n}.png": encoded(n + ord(name)) for n in range(4)}
        write_archive(tmp_path / f"{name}{kind}", files)
    opened: list[str] = []

    def watched(path: Path) -> object:
        opened.append(path.name)
        return packed_images(path)

    monkeypatch.setattr("beholder.located.packed_images", watched)
    runs = [(name, n) for name in "abcdef" for n in range(4)]
    found = list(each_picture(f"{tmp_path}/{name}{kind}/{n}.png" for name, n in runs))
    assert found == [encoded(n + ord(name)) for name, n in runs]
    assert opened == [f"{name}{kind}" for name in "abcdef"]
    opened.clear()
    turns = [(name, n) for n in range(4) for name in "abcd"]
    found = list(each_picture(f"{tmp_path}/{name}{kind}/{n}.png" for name, n in turns))
    assert found == [encoded(n + ord(name)) for name, n in turns]
    assert opened == [f"{name}{kind}" for name in "abcd"], "a few stay open"


def test_what_is_not_there_is_an_error_value(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"a.png": encoded(1), "a.txt": b"secret"})
    (tmp_path / "bad.zip").write_bytes(b"none")
    np.savez(tmp_path / "s.npz", np.zeros((2, 2, 2, 3), np.uint8))
    os.mkfifo(tmp_path / "pipe.tar")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    asked = {
        "a.tar/b.png": "missing",
        "a.tar/a.txt": "missing",
        "a.tar/../a.png": "missing",
        "a.tar/a.png#2": "missing",
        "bad.zip/a.png": "unreadable",
        "s.npz/row 2": "missing",
        "s.npz/row -1": "missing",
        "s.npz/mu": "missing",
        "bad.parquet#0": "unreadable",
    }
    found = each_picture(f"{tmp_path}/{name}" for name in asked)
    assert [code(image) for image in found] == list(asked.values())
    assert picture_source(f"{tmp_path}/pipe.tar/a.png") == f"{tmp_path}/pipe.tar/a.png"
    assert picture_source(f"{tmp_path}/none.png") == f"{tmp_path}/none.png", "its reader says so"


def test_a_member_over_the_limit_is_never_held_whole(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"big.png": bytes(LIMITS.bytes + 2**20)})
    found = picture_source(f"{tmp_path}/a.tar/big.png")
    assert isinstance(found, bytes)
    assert len(found) == LIMITS.bytes + 1


def test_only_stores_are_asked_for_pictures_of_a_table() -> None:
    for address in ("http://169.254.169.254/a.png", "ftp://x/a.tar/b.png", "sftp://x/a.parquet#1"):
        image = picture_source(address)
        assert code(image) == "unreadable"
        assert "is not fetched" in str(image)


def test_one_remote_archive_is_held_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(fetched))
    root = Place(f"memory://{tmp_path.name}")
    for name in "ab":
        files = {f"{n}.png": encoded(n) for n in range(3)}
        (root / f"{name}.tar").write(write_tar(tmp_path / f"{name}.tar", files).read_bytes())
    with Finder() as finder:
        for name in "abbaa":
            for n in range(3):
                assert finder.find(f"{root}/{name}.tar/{n}.png") == encoded(n)
                assert len(list(fetched.rglob("*.tar"))) == 1
        assert code(finder.find(f"{root}/none.tar/a.png")) == "unreadable"
        assert code(finder.find(f"{root}/none.png")) == "missing"
    assert list(fetched.iterdir()) == []


def test_names_that_are_no_text_are_found_as_tables_write_them(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff.png")
    (tmp_path / odd).write_bytes(encoded(1))
    write_tar(tmp_path / "a.tar", {odd: encoded(2)})
    (tmp_path / "\\udcfe.png").write_bytes(encoded(3))
    assert picture_source(f"{tmp_path}/{storable(odd)}") == f"{tmp_path}/{odd}"
    assert picture_source(f"{tmp_path}/a.tar/{storable(odd)}") == encoded(2)
    assert picture_source(f"{tmp_path}/\\udcfe.png") == f"{tmp_path}/\\udcfe.png"
