"""Ranks share the plan without a word, in any number, and give the table of one process."""

import os
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from beholder._run_folder import Shard
from beholder.errors import ConfigError
from beholder.rewards.sharded import attempts, ranks
from beholder.rewards.sharded.job import Job, ShardDone, ShardFailed
from beholder.rewards.sharded.ranks import Rank, rank_of
from beholder.rewards.sharded.worker import Worker
from tests.rewards.sharded.hostile import DEADLY, job, write_pictures


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "p", [10 * k for k in range(14)])


def run_rank(work: Job, rank: int, world: int, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", str(world))
    ranks.run(work)
    work.close()
    return work


def rows(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ds.dataset(out).to_table().to_pylist()
    return found


def test_three_ranks_give_the_table_of_one(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_rank(job(pictures, tmp_path / "one"), 0, 1, monkeypatch)
    three = [run_rank(job(pictures, tmp_path / "three"), k, 3, monkeypatch) for k in (2, 0, 1)]
    assert [(w.shards, w.scored, w.rows) for w in three] == [(2, 2, 4), (3, 3, 6), (2, 2, 4)]
    assert len(rows(tmp_path / "one")) == 14
    assert rows(tmp_path / "three") == rows(tmp_path / "one")
    again = run_rank(job(pictures, tmp_path / "three"), 1, 2, monkeypatch)
    assert (len(again.before.done), again.scored) == (3, 0)


def test_a_bad_shard_is_tried_three_times_after_the_others(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("00.png", "01.png"):
        (pictures / name).write_bytes((pictures / "00.png").read_bytes())
    order: list[str] = []
    score_each = Worker.score_each

    def noted(self: Worker, shards: Any, progress: Any = None) -> Any:
        for done in score_each(self, shards, progress):
            order.append(done.shard)
            is_bad = done.shard.endswith("1")
            yield ShardFailed(shard=done.shard, why="cut off") if is_bad else done

    monkeypatch.setattr(Worker, "score_each", noted)
    work = run_rank(job(pictures, tmp_path / "out", shard_size=4), 0, 1, monkeypatch)
    assert [name[-1] for name in order] == ["0", "1", "2", "3", "1", "1"]
    assert work.lost == {"part-0000001": "cut off (attempt 3)"}
    assert work.scored == 3


def test_what_was_in_hand_when_a_rank_was_stopped_is_not_blamed(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = job(pictures, tmp_path / "out")
    counts: list[int] = []

    def stop(pictures: int) -> None:
        counts.append(len(attempts.known(work.folder)))
        signal.raise_signal(signal.SIGTERM)

    work.progress = stop
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as leaving:
        run_rank(work, 0, 1, monkeypatch)
    assert leaving.value.code == 143
    assert counts == [3]  # the next shard was being read, and the one after it opened
    assert attempts.known(work.folder) == {}
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.long
def test_two_ranks_at_once_finish_though_one_meets_a_broken_picture(
    pictures: Path, tmp_path: Path
) -> None:
    (pictures / "00.png").write_bytes(b"")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "beholder", "score", str(pictures), "-r", "tiny"]
    command += ["-o", str(out), "--engine", "ranks", "--shard-size", "2"]
    root = str(Path(__file__).parents[3])
    known = {**os.environ, "PYTHONPATH": root, "WORLD_SIZE": "2"}
    both = [
        subprocess.Popen(command, env={**known, "RANK": str(k)}, stderr=subprocess.PIPE)
        for k in range(2)
    ]
    said = [rank.communicate()[1].decode() for rank in both]
    assert [rank.returncode for rank in both] == [0, 0], said
    assert sum(row["tiny.error"] is not None for row in rows(out)) == 1
    assert [row["key"] for row in rows(out)] == sorted(p.name for p in pictures.glob("*.png"))


def test_a_poison_that_breaks_its_rank_keeps_its_attempt(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(worker: Worker, shards: Any, progress: Any = None) -> Any:
        next(shards)
        raise KeyError("x")
        yield

    monkeypatch.setattr(Worker, "score_each", broken)
    work = job(pictures, tmp_path / "out")
    with pytest.raises(KeyError):
        run_rank(work, 0, 1, monkeypatch)
    (found,) = attempts.known(work.folder).values()
    assert found == attempts.Attempts(1, "its rank broke: KeyError: 'x'")


def test_what_was_begun_before_is_taken_alone(pictures: Path, tmp_path: Path) -> None:
    work = job(pictures, tmp_path / "out", DEADLY)
    shards = [Shard(name=name, kind="list", source="s") for name in "abc"]
    work.suspects = {"b"}
    part = ranks._Part(work, deque(shards))
    assert [s.name for s in part.taken()] == ["a"]
    footer = {"shard": "a", "rows": 0, "errors": {}}
    part.report(ShardDone(shard="a", rows=0, errors={}, seconds=0.0, footer=footer))
    assert [s.name for s in part.taken()] == ["b"]
    assert attempts.count(work.folder, "b") == 1


@pytest.mark.parametrize(
    ("variables", "rank"),
    [
        ({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, Rank(3, 8, 1)),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "4", "SLURM_LOCALID": "2"}, Rank(2, 4, 2)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "7",
                "SLURM_ARRAY_TASK_MIN": "5",
                "SLURM_ARRAY_TASK_COUNT": "3",
            },
            Rank(2, 3),
        ),
        (
            {
                "SLURM_ARRAY_TASK_ID": "1",
                "SLURM_ARRAY_TASK_COUNT": "3",
                "SLURM_NTASKS": "4",
                "SLURM_PROCID": "2",
            },
            Rank(6, 12),
        ),
    ],
)
def test_ranks_are_what_their_launchers_say(variables: dict[str, str], rank: Rank) -> None:
    assert rank_of(variables) == rank


def test_strange_launches_are_refused() -> None:
    with pytest.raises(ConfigError, match="RANK is 2, but WORLD_SIZE 2; expected 0 to 1"):
        rank_of({"RANK": "2", "WORLD_SIZE": "2"})
    with pytest.raises(ConfigError, match="torchrun or SLURM"):
        rank_of({})
    with pytest.raises(ConfigError, match="RANK is 'x'"):
        rank_of({"RANK": "x", "WORLD_SIZE": "2"})
    gaps = {"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "3"}
    with pytest.raises(ConfigError, match="has gaps"):
        rank_of(gaps)
