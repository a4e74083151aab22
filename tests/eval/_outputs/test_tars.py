import json
import tarfile
from pathlib import Path

import pytest

from beholder.errors import ImageError
from beholder.eval._outputs.tars import TarWriter
from tests.eval._outputs.rows_of import picture, row


def written(folder: Path, keys: list[str], data: bytes, per_shard: int = 100) -> list[str]:
    folder.mkdir()
    writer = TarWriter(folder, per_shard=per_shard)
    places = [writer.add(row(key, data, "x/a.PNG")) for key in keys]
    writer.close()
    return places


def test_the_members_of_a_sample_stand_together_and_say_nothing_of_the_machine(
    tmp_path: Path,
) -> None:
    data = picture(tmp_path / "a.png").read_bytes()
    assert written(tmp_path / "out", ["v1.5/a.png"], data) == ["000000.tar/v1_5/a.png"]
    with tarfile.open(tmp_path / "out/000000.tar") as tar:
        members = tar.getmembers()
        contents = {m.name: tar.extractfile(m).read() for m in members}  # type: ignore[union-attr]
    assert [m.name for m in members] == ["v1_5/a.png", "v1_5/a.txt", "v1_5/a.json"]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {
        (0, 0, 0, "", "", 0o644)
    }
    assert contents["v1_5/a.png"] == data
    assert contents["v1_5/a.txt"] == b"a fox"
    assert json.loads(contents["v1_5/a.json"]) == {"key": "v1.5/a.png", "tiny.total": 0.5}


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    data = picture(tmp_path / "a.png").read_bytes()
    for folder in ("one", "two"):
        written(tmp_path / folder, ["a", "b"], data)
    one, two = (tmp_path / folder / "000000.tar" for folder in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_shard_holds_so_many_samples_and_no_name_twice(tmp_path: Path) -> None:
    data = picture(tmp_path / "a.png").read_bytes()
    places = written(tmp_path / "out", ["a.b", "a_b", "A_b", "a.b", "c"], data, per_shard=3)
    assert places == [
        "000000.tar/a_b.png",
        "000000.tar/a_b-2.png",
        "000000.tar/A_b-3.png",
        "000001.tar/a_b.png",
        "000001.tar/c.png",
    ]


def test_a_key_of_two_underscores_is_no_name_of_webdatasets_own(tmp_path: Path) -> None:
    data = picture(tmp_path / "a.png").read_bytes()
    assert written(tmp_path / "out", ["__key__.png"], data) == ["000000.tar/key.png"]


def test_a_picture_that_is_gone_leaves_no_member_behind(tmp_path: Path) -> None:
    writer = TarWriter(tmp_path, per_shard=2)
    with pytest.raises(ImageError, match="no such file"):
        writer.add(row("k", tmp_path / "gone.png"))
    writer.close()
    assert list(tmp_path.iterdir()) == []
