from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from beholder.annotation.sources import _place
from beholder.annotation.sources._cells import LeftOutError
from beholder.annotation.sources._place import Folder, Hub, Place, open_place, parquet_rows
from beholder.errors import AnnotationError
from tests.annotation.sources.published import touch, write_parquet


@pytest.fixture(params=["folder", "hub"])
def place(request: pytest.FixtureRequest, hub: Path) -> Place:
    """The same files as a folder and as a repository of the hub."""
    return Hub("user/name") if request.param == "hub" else Folder(hub)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fake = DirFileSystem(path=str(tmp_path), fs=LocalFileSystem())
    monkeypatch.setattr(_place, "_hub", lambda: fake)
    root = tmp_path / "datasets" / "user" / "name"
    root.mkdir(parents=True)
    return root


def test_the_first_pattern_with_files_wins(place: Place, hub: Path) -> None:
    touch(hub, "data/b-1.parquet", "data/b-0.parquet", "b-0.parquet")
    assert place.find("none-*", "data/b-*.parquet", "b-*") == [
        "data/b-0.parquet",
        "data/b-1.parquet",
    ]
    with pytest.raises(AnnotationError, match=r"holds no x\.json nor y\.json; give the folder"):
        place.find("x.json", "y.json")


def test_rows_of_several_files_stream_with_only_the_wanted_columns(place: Place, hub: Path) -> None:
    write_parquet(hub / "a.parquet", [{"x": i, "y": "long"} for i in range(200)])
    write_parquet(hub / "b.parquet", [{"x": 200, "z": 1}])
    rows = list(parquet_rows(place, ["a.parquet", "b.parquet"], ["x", "z"]))
    assert rows == [*({"x": i} for i in range(200)), {"x": 200, "z": 1}]


def test_a_damaged_file_is_named(place: Place, hub: Path) -> None:
    (hub / "a.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(AnnotationError, match=r"name/a\.parquet"):
        list(parquet_rows(place, ["a.parquet"], ["x"]))
    with pytest.raises(AnnotationError, match=r"name/gone\.parquet cannot be read: .*No such file"):
        list(parquet_rows(place, ["gone.parquet"], ["x"]))


def test_a_damaged_page_ends_the_stream_after_the_whole_rows(hub: Path) -> None:
    table = pa.table({"x": [str(i) * 20 for i in range(1000)]})
    with pq.ParquetWriter(hub / "a.parquet", table.schema, compression="none") as writer:
        for start in range(0, 1000, 100):
            writer.write_table(table.slice(start, 100))
    data = bytearray((hub / "a.parquet").read_bytes())
    at = data.index(b"500500500")
    data[at - 40 : at] = b"\xff" * 40
    (hub / "a.parquet").write_bytes(data)
    rows = parquet_rows(Folder(hub), ["a.parquet"], ["x"])
    with pytest.raises(AnnotationError, match=r"a\.parquet"):
        assert len(list(rows)) == 0
    first = parquet_rows(Folder(hub), ["a.parquet"], ["x"])
    assert [next(first)["x"] for _ in range(3)] == ["0" * 20, "1" * 20, "2" * 20]


def test_pictures_lie_below_the_root_and_may_be_missing(hub: Path) -> None:
    touch(hub, "images/a.png")
    folder = Folder(hub)
    picture = folder.picture("images/a.png")
    assert picture == str(hub / "images" / "a.png")
    assert not folder.lacks(picture)
    assert folder.lacks(folder.picture("images/b.png"))
    assert Hub("user/name").picture("images/b.png") == "images/b.png"
    assert not Hub("user/name").lacks("images/b.png")


@pytest.mark.parametrize("reference", ["/etc/passwd", "../x.png", "a/../../x.png", "a\0b"])
def test_a_picture_outside_the_root_is_left_out(place: Place, reference: str) -> None:
    with pytest.raises(LeftOutError, match="leaves the data set"):
        place.picture(reference)


def test_a_git_lfs_pointer_says_what_to_do(hub: Path) -> None:
    (hub / "train.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    with pytest.raises(AnnotationError, match=r"train\.json is a Git LFS pointer; run `git lfs"):
        Folder(hub).open("train.json")


def test_a_place_is_a_folder_or_a_repository(hub: Path) -> None:
    assert open_place(None, "user/name") == Hub("user/name")
    assert open_place("other/mirror", "user/name") == Hub("other/mirror")
    assert open_place(hub, "user/name") == Folder(hub)
    assert open_place(str(hub), "user/name") == Folder(hub)
    for wrong in (hub / "gone", "gone", "a/gone/c"):
        with pytest.raises(AnnotationError, match=r"there is no folder .*gone"):
            open_place(wrong, "user/name")


def test_a_hub_that_cannot_be_reached_is_one_line() -> None:
    with pytest.raises(AnnotationError, match=r"hub:user/name/\*\.json cannot be read: .*offline"):
        Hub("user/name").find("*.json")
