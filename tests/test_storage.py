"""Places answer alike wherever they are, and a file appears whole or not at all."""

import errno
import io
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest

from beholder._inputs.records import open_parquet
from beholder.errors import DataError
from beholder.storage import Place, Stamp, is_remote, scheme_of, stamp_of_info, sweep


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "disk":
        yield Place(tmp_path)
        return
    name = f"/{uuid.uuid4().hex}"
    yield Place(f"memory:/{name}")
    if fsspec.filesystem("memory").exists(name):
        fsspec.filesystem("memory").rm(name, recursive=True)


def test_what_is_written_is_read_and_named(folder: Place) -> None:
    assert not (folder / "a.bin").exists()
    assert list((folder / "deep").names()) == []
    (folder / "a.bin").write(b"one")
    (folder / "a.bin").write(b"second")
    (folder / "deep" / "b.bin").write(b"")
    assert (folder / "a.bin").read() == b"second"
    assert (folder / "a.bin").head(3) == b"sec"
    assert (folder / "a.bin").head(30) == b"second"
    assert (folder / "deep" / "b.bin").read() == b""
    assert sorted(folder.names()) == ["a.bin", "deep"]
    assert (folder / "deep").is_folder()
    assert not (folder / "a.bin").is_folder()
    assert (folder / "a.bin").name == "a.bin"
    (folder / "a.bin").delete()
    (folder / "a.bin").delete()
    assert sorted(folder.names()) == ["deep"]


def test_a_stamp_tells_size_and_change(folder: Place) -> None:
    place = folder / "a.bin"
    place.write(b"one")
    first = place.stamp()
    assert first.size == 3
    assert place.stamp() == first
    if not place.is_remote:
        os.utime(place.path, ns=(1, 10**9 + 1))
        assert place.stamp() == Stamp(3, "1000000001")
    place.write(b"four")
    assert place.stamp().size == 4
    assert place.stamp().mark != first.mark


def test_the_first_of_many_that_write_a_new_file_wins(folder: Place) -> None:
    place = folder / "new.bin"
    won: list[int] = []

    def attempt(number: int) -> None:
        if place.write_new(str(number).encode() * 1000):
            won.append(number)

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 or place.is_remote  # the memory of one process knows no such request
    assert place.read() in {str(n).encode() * 1000 for n in won}
    assert not place.write_new(b"late")
    assert place.read() != b"late"


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    place = Place(tmp_path / "a.bin")
    contents = [bytes([k]) * 200_000 for k in range(2)]
    place.write(contents[0])
    done = threading.Event()

    def write() -> None:
        for k in range(30):
            place.write(contents[k % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while not done.is_set():
        assert place.read() in contents
        seen += 1
    writer.join()
    assert seen > 0
    assert list(place.names()) == []
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    place = Place(tmp_path / "a.bin")
    place.write(b"kept")

    with pytest.raises(TypeError):
        place.write("text")  # type: ignore[arg-type]
    assert place.read() == b"kept"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_names_leave_out_what_is_being_written(tmp_path: Path) -> None:
    (tmp_path / ".a.parquet.1234abcd.tmp").touch()
    (tmp_path / "a.parquet").touch()
    assert list(Place(tmp_path).names()) == ["a.parquet"]
    assert list(Place(tmp_path / "a.parquet").names()) == []


def test_paths_are_understood_as_shells_write_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.bin").write_bytes(b"x")
    for address in ("~/a.bin", f"file://{tmp_path}/a.bin", "a.bin", "./a.bin", "b/../a.bin"):
        place = Place(address)
        assert place.absolute == str(tmp_path / "a.bin")
        assert not place.is_remote
    assert Place("a.bin") == Place(tmp_path / "a.bin")
    assert len({Place("a.bin"), Place("~/a.bin")}) == 1
    odd = tmp_path / "s3:" / "b"
    odd.parent.mkdir()
    odd.write_bytes(b"odd")
    assert Place(f"{tmp_path}/s3://b").read() == b"odd"


def test_addresses_are_told_from_paths() -> None:
    assert [is_remote(a) for a in ("s3://b/a", "memory://a", "hf://datasets/a/b")] == [True] * 3
    assert [is_remote(a) for a in ("/a", "a:b", "file:///a", "local://a", "a b://c")] == [False] * 5
    assert scheme_of("gs://b") == "gs"
    assert scheme_of("/a/s3://b") == "file"
    assert str(Place("memory://") / "a") == "memory://a"
    assert str(Place("/") / "a") == "/a"
    assert Place("s3://b/x").absolute == "s3://b/x"


def test_what_cannot_be_read_says_so(folder: Place) -> None:
    for ask in (Place.read, Place.stamp, Place.open, lambda place: place.head(1)):
        with pytest.raises(DataError, match=r"nothing.bin cannot be .*: there is no such file"):
            ask(folder / "nothing.bin")
    with pytest.raises(DataError, match="fsspec knows no 'nowhere'"):
        Place("nowhere://x").read()


def test_a_remote_file_is_local_while_it_is_used(folder: Place) -> None:
    place = folder / "a.tar"
    place.write(b"contents")
    with place.local() as path:
        assert path.name == "a.tar"
        assert path.read_bytes() == b"contents"
    assert path.exists() is not place.is_remote
    if place.is_remote:
        assert not path.parent.exists()
        with pytest.raises(DataError, match="cannot be fetched"):
            (folder / "b.tar").fetch()


def test_marks_are_whatever_a_store_tells() -> None:
    assert stamp_of_info({"size": 3, "ETag": '"abc"', "LastModified": "x"}) == Stamp(3, '"abc"')
    assert stamp_of_info({"size": None, "generation": 17}) == Stamp(0, "17")
    assert stamp_of_info({"size": 5}) == Stamp(5, "")
    time = datetime(1970, 1, 1, 0, 0, 2, 500_000, tzinfo=UTC)
    assert stamp_of_info({"mtime": time}) == stamp_of_info({"mtime": 2.5}) == Stamp(0, "2.5")


def test_elsewhere_than_in_stores_a_file_is_renamed_into_place(tmp_path: Path) -> None:
    """`dir` stands for file systems such as sftp, which write a file as it comes."""
    system = fsspec.filesystem("dir", path=str(tmp_path), target_protocol="file")
    place = Place("sftp://host/deep/a.bin")
    vars(place)["system"], vars(place)["path"] = system, "deep/a.bin"
    place.write(b"one")
    place.write(b"two")
    assert (tmp_path / "deep/a.bin").read_bytes() == b"two"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.bin"]
    assert not place.write_new(b"three")


def test_a_place_knows_its_folder() -> None:
    given = ["memory://a.tar", "memory:///a.tar", "s3://b/x/y.tar", "s3://b/x/", "/x", "x/y"]
    parents = ["memory://", "memory:///", "s3://b/x", "s3://b", "/", "x"]
    assert [str(Place(address).parent) for address in given] == parents
    assert Place("memory://a/b").parent / "b" == Place("memory://a/b")


class Refusing:
    """A store whose library raises what is no OSError, for each question."""

    def __getattr__(self, name: str) -> object:
        def ask(*args: object, **kwargs: object) -> None:
            raise RuntimeError("no credentials")

        return {"_strip_protocol": lambda path: path, "invalidate_cache": lambda: None}.get(
            name, ask
        )


def test_whatever_a_store_raises_names_the_address(tmp_path: Path) -> None:
    questions: list[Callable[[Place], object]] = [
        *(Place.exists, Place.is_folder, Place.stamp, Place.open, Place.read, Place.fetch),
        *(Place.delete, lambda p: list(p.names()), lambda p: p.head(1)),
        *(lambda p: p.write(b""), lambda p: p.write_new(b"")),
    ]
    for ask in questions:
        place = Place("gs://bucket/a.bin")
        place.__dict__["system"] = Refusing()
        with pytest.raises(DataError, match=r"gs://bucket/a\.bin cannot be .*: no credentials"):
            ask(place)


def test_a_full_store_raises_as_a_full_disk_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(Place, "_upload", full)
    with pytest.raises(OSError, match=r"memory://x cannot be written: .*no room") as raised:
        Place("memory://x").write(b"")
    assert raised.value.errno == errno.ENOSPC


def test_a_store_that_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(scheme: str) -> None:
        raise RuntimeError("no credentials")

    monkeypatch.setattr(fsspec, "filesystem", refused)
    with pytest.raises(DataError, match="gs://b/x cannot be reached: no credentials"):
        Place("gs://b/x").exists()


def test_parquet_of_a_store_that_fails_while_it_is_read_names_the_address() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise RuntimeError("token expired")

    place = Place(f"memory://{uuid.uuid4().hex}/t.parquet")
    place.__dict__["path"] = "t.parquet"
    place.__dict__["system"] = SimpleNamespace(open=lambda path, mode: Broken(b"x" * 99))
    with pytest.raises(DataError, match=r"t\.parquet cannot be read: token expired"):
        open_parquet(place)


def test_what_killed_writers_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    kept = [".hidden.tmp", "a.tmp", ".a.parquet.12345678", "_run/.a.json.1234567g.tmp"]
    left = [".a.parquet.1234abcd.tmp", "_run/.plan.jsonl.00000000.tmp"]
    for name in (*kept, *left):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    sweep(Place(tmp_path))
    sweep(Place("memory://x"))
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == set(kept)
