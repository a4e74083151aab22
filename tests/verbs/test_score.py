"""The verb score, by engine and without: one folder is one kind of run, exit codes say enough."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from beholder.storage import Place
from tests.archives import encoded, write_tar
from tests.rewards.sharded.hostile import DEADLY, write_pictures
from tests.shell import Shell


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    return write_pictures(tmp_path / "p", [10, 20, 30, 40])


def test_a_sharded_run_is_scored_resumed_and_verified(
    pictures: Path, tmp_path: Path, shell: Shell
) -> None:
    out = tmp_path / "out"
    words = ["score", pictures, "-r", "tiny", "-o", out, "--engine", "ranks", "--shard-size", 3]
    first = shell.json(*words)
    assert (first["rows"], first["shards"], first["scored"], first["failed"]) == (4, 2, 2, {})
    assert shell(*words) == 0
    assert (
        f"{out}: 4 rows in 2 of 2 shards; shards: 0 scored now, 2 before, 0 given up" in shell.out
    )
    assert shell("score", "--verify", "-o", out) == 0
    assert shell.out == f"{out}: every input has its row; 4 rows in 2 of 2 shards\n"
    (out / "part-0000001.parquet").unlink()
    found = shell.json("score", "--verify", "-o", out, code=1)
    assert found["missing"] == ["part-0000001"]


def test_rows_without_scores_and_retries_have_their_exit_codes(
    pictures: Path, tmp_path: Path, shell: Shell
) -> None:
    good = (pictures / "01.png").read_bytes()
    (pictures / "01.png").write_bytes(b"")
    words = ["score", pictures, "-r", "r=tiny", "-o", tmp_path / "out", "--engine", "ranks"]
    assert shell(*words) == 0, "other ranks go on"
    assert "  r: 1 empty" in shell.out
    assert "1 scores missing, 0 shards given up; --verify exits with 3" in shell.err
    assert shell("score", "-o", tmp_path / "out", "--verify", "--no-count-sources") == 3
    (pictures / "01.png").write_bytes(good)
    assert shell(*words, "--retry-failed") == 0
    table = pq.read_table(tmp_path / "out" / "part-0000000.parquet")
    assert table["r.total"].null_count == 0


@pytest.mark.long
def test_a_picture_that_kills_every_worker_costs_its_shard_and_exit_code_3(
    pictures: Path, tmp_path: Path, shell: Shell
) -> None:
    Image.new("RGB", (8, 8), (255, 255, 255)).save(pictures / "02.png")
    words = ["score", pictures, "-r", f"r={DEADLY}", "-o", tmp_path / "out", "--shard-size", 1]
    said = shell.json(*words, "--engine", "processes", "--workers", 1, "--verify", code=3)
    why = "its worker was killed (SIGKILL, signal 9) (attempt 3)"
    assert (said["rows"], said["scored"], said["failed"]) == (3, 3, {"part-0000002": why})
    verified = said["verified"]
    assert isinstance(verified, dict)
    assert verified["missing"] == ["part-0000002"]
    assert verified["failed"] == said["failed"]


def test_the_two_kinds_of_folders_are_not_mixed(
    pictures: Path, tmp_path: Path, shell: Shell
) -> None:
    words = ["score", pictures, "-r", "tiny", "-o"]
    assert shell(*words, tmp_path / "table") == 0
    assert shell(*words, tmp_path / "table", "--engine", "ranks") == 2
    assert "leave --engine out" in shell.err
    assert shell(*words, tmp_path / "run", "--engine", "ranks") == 0
    assert shell(*words, tmp_path / "run") == 2
    assert "go on with --engine" in shell.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["score", "p", "-r", "tiny", "-o", "x", "--workers", "2"], "--workers needs --engine"),
        (["score", "p", "-r", "tiny", "-o", "x", "--verify"], "--verify needs --engine"),
        (["score", "p", "-r", "tiny", "-o", "x", "--ray-address", "auto"], "--ray-address needs"),
        (["score", "p", "-r", "tiny", "-o", "s3://b/x"], "s3://b/x, give an --engine"),
        (["score", "p", "-r", "tiny", "-o", "x", "--no-count-sources"], "--count-sources needs"),
        (["score", "-o", "x"], "name the pictures"),
        (["score", "-o", "x", "--verify", "--engine", "ray"], "reads no --engine"),
        (["score", "-o", "x", "--verify", "--prompts", "p.txt"], "reads no --prompts"),
        (["score", "-o", "x", "--verify", "--retry-failed"], "reads no --retry-failed"),
        (["score", "-o", "x", "--verify", "--gpus-per-worker", "1"], "reads no --gpus-per-worker"),
        (
            ["score", "p", "-r", "tiny", "-o", "x", "--engine", "ray", "--count-sources"],
            "--count-sources needs --verify",
        ),
        (["score", "-r", "tiny", "-o", "x", "--verify"], "name the pictures"),
        (["score", "p", "-o", "x", "--engine", "ranks"], "at least one reward"),
        (["score", "p", "-r", "a", "-r", "a", "-o", "x", "--engine", "ranks"], "share the columns"),
        (
            ["score", "p", "-r", "tiny", "-o", "x", "--engine", "ranks", "--verify"],
            "once all ranks ended",
        ),
        (
            ["score", "p", "-r", "tiny", "-o", "x", "--engine", "ray", "--workers", "2:"],
            "2:16 for a pool",
        ),
    ],
)
@pytest.mark.usefixtures("pictures")
def test_options_that_nothing_would_read_are_refused(
    words: list[str], why: str, shell: Shell
) -> None:
    assert shell(*words) == 2
    assert why in shell.err


def test_remote_archives_are_fetched_once_for_a_table(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Place(f"memory://{tmp_path.name}-tars")
    for name in ("a.tar", "b.tar"):
        write_tar(tmp_path / name, {"0.png": encoded(9), "0.txt": b"fox"})
        (root / name).write((tmp_path / name).read_bytes())
    fetch, fetched = Place.fetch, []

    def watched(place: Place) -> object:
        fetched.append(place.name)
        return fetch(place)

    monkeypatch.setattr(Place, "fetch", watched)
    assert shell("score", root, "-r", "tiny", "-o", tmp_path / "out") == 0, shell.err + shell.out
    assert fetched == ["a.tar", "b.tar"]
