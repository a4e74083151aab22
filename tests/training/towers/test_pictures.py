import hashlib
from pathlib import Path

import pytest

from beholder.errors import DataError
from beholder.training.towers import pictures
from beholder.training.towers.pictures import content_hashes, read_all, unreadable
from tests.training import brightness


def files(folder: Path) -> list[str]:
    made = brightness.pictures(folder, prompts=1, each=4, seed=0)
    return [path for rows in made.values() for path, _ in rows]


def test_pictures_that_cannot_be_read_are_told_with_their_reason(tmp_path: Path) -> None:
    paths = [*files(tmp_path), str(tmp_path / "missing.png"), str(tmp_path)]
    Path(paths[0]).write_bytes(b"")
    codes = {p: why.partition(":")[0] for p, why in unreadable(paths, 0, 1).items()}
    assert codes == {paths[0]: "empty", paths[4]: "missing", paths[5]: "not-a-file"}


def test_processes_share_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "CHUNK", 2)
    paths = [str(tmp_path / f"{k}.png") for k in range(5)]
    shares = [list(unreadable(paths, rank, 2)) for rank in (0, 1)]
    assert shares == [[paths[0], paths[1], paths[4]], [paths[2], paths[3]]]


def test_a_picture_that_breaks_during_a_run_stops_it(tmp_path: Path) -> None:
    paths = files(tmp_path)
    assert [tuple(p.shape) for p in read_all(paths)] == [(3, 32, 32)] * 4
    Path(paths[2]).unlink()
    with pytest.raises(DataError, match=r"0-0-2\.png changed while"):
        read_all(paths)


def test_hashes_are_those_of_the_files(tmp_path: Path) -> None:
    paths = files(tmp_path)[:1]
    hashes, faults = content_hashes([*paths, "missing.png"])
    assert hashes == {paths[0]: hashlib.sha256(Path(paths[0]).read_bytes()).hexdigest()}
    assert faults["missing.png"].startswith("missing: ")
