"""A source is told by its listing; what it holds decides what it is."""

import os
from pathlib import Path

import pytest

from beholder._inputs.folders import InOrder
from beholder._inputs.sources import (
    Archives,
    Manifest,
    Pictures,
    RemotePictures,
    Saved,
    Tables,
    archives,
    classified,
)
from beholder.errors import DataError
from beholder.storage import Place
from tests.archives import encoded


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(1) if name.endswith(".png") else b"")
    return folder


def test_a_folder_is_what_it_holds(tmp_path: Path) -> None:
    picked = classified(touched(tmp_path / "a", "x.tar", "deep/y.png", "t.parquet"))
    assert isinstance(picked, Pictures), "a picture goes before all"
    assert [path.name for path in picked.found()] == ["y.png"]
    tables = classified(touched(tmp_path / "b", "b.parquet", "a/b.parquet", "x.tar"))
    assert isinstance(tables, Tables)
    assert [place.name for place in tables.places] == ["b.parquet", "b.parquet"]
    assert tables.places[0].absolute == str(tmp_path / "b/a/b.parquet")
    packed = classified(touched(tmp_path / "c", "b.tar", "a.zip", "a-/z.tar", "a/z.tar"))
    assert isinstance(packed, Archives)
    assert packed.prefixes == ["a/z.tar/", "a-/z.tar/", "a.zip/", "b.tar/"]
    saved = classified(touched(tmp_path / "d", "state.json", "dataset_info.json"))
    assert saved == Saved(tmp_path / "d")
    assert isinstance(classified(touched(tmp_path / "e", "m.csv") / "m.csv"), Manifest)


def test_prefixes_are_what_archives_do_not_share(tmp_path: Path) -> None:
    places = [Place(tmp_path / name) for name in ("x/a.tar", "x/b/a.tar")]
    assert archives("x", places).prefixes == ["a.tar/", "b/a.tar/"]
    assert archives("x", places[:1]).prefixes == [""]
    remote = [Place(f"s3://bucket/{name}") for name in ("x/a.tar", "y/a.tar")]
    assert archives("x", remote).prefixes == ["x/a.tar/", "y/a.tar/"]


def test_a_pipe_among_archives_is_left_out(tmp_path: Path) -> None:
    touched(tmp_path, "a.tar", "b.tar")
    os.mkfifo(tmp_path / "c.tar")
    found = classified(tmp_path)
    assert isinstance(found, Archives)
    assert len(found.places) == 2


def test_many_archives_are_told_without_looking_into_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched(tmp_path, "a.tar", "b.tar")

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Path, "open", never)
    monkeypatch.setattr(Place, "open", never)
    assert isinstance(classified(tmp_path), Archives)
    assert isinstance(classified(f"{tmp_path}/{{a,b}}.tar"), Archives)


def test_remote_folders_are_told_by_names(tmp_path: Path) -> None:
    root = Place(f"memory://{tmp_path.name}")
    for name in ("a/b.png", "a/c/a.jpg", "a/.hidden.png", "a/a.txt", "t/b.parquet", "t/a.parquet"):
        (root / name).write(b"x")
    pictures = classified(str(root / "a"))
    assert isinstance(pictures, RemotePictures)
    assert pictures.names == ["b.png", "c/a.jpg"]
    one = classified(str(root / "a/c/a.jpg"))
    assert isinstance(one, RemotePictures)
    assert [str(one.root / name) for name in one.names] == [str(root / "a/c/a.jpg")]
    some = classified(str(root / "a/*.png"))
    assert isinstance(some, RemotePictures)
    assert some.names == ["b.png"]
    tables = classified(str(root / "t"))
    assert isinstance(tables, Tables)
    assert [place.name for place in tables.places] == ["a.parquet", "b.parquet"]
    with pytest.raises(DataError, match="there is no picture in memory://"):
        classified(str(root / "nowhere"))


def test_names_of_a_pattern_are_sorted_on_the_disk_if_they_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched(tmp_path, *(f"{n:02}.png" for n in (3, 1, 2, 0)), "deep/0.png")
    made: list[InOrder] = []

    def few() -> InOrder:
        made.append(InOrder(2))
        return made[-1]

    monkeypatch.setattr("beholder._inputs.sources.InOrder", few)
    found = classified(f"{tmp_path}/**/*.png")
    assert isinstance(found, Pictures)
    names = [str(path.relative_to(tmp_path)) for path in found.found()]
    assert names == ["00.png", "01.png", "02.png", "03.png", "deep/0.png"]
    assert len(made) == 1
