"""A job plans once, knows what is left, and tells faults of shards from faults of the run."""

from dataclasses import replace
from pathlib import Path

import pytest

from beholder._run_folder import Shard
from beholder.errors import ConfigError, DataError
from beholder.rewards.sharded import attempts
from beholder.rewards.sharded.job import ALIKE_LATER, MOST_DEATHS, Job
from beholder.rewards.sharded.worker import Worker
from tests.archives import write_tar
from tests.rewards.sharded.hostile import job, write_pictures


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "p", [10, 20, 30, 40, 50, 60, 70, 80])


def opened(work: Job, share: tuple[int, int] = (0, 1)) -> tuple[Worker, list[Shard]]:
    worker = Worker(work.spec)
    return worker, work.open(worker.run, share)


def test_what_was_done_is_left_out_and_counted(pictures: Path, tmp_path: Path) -> None:
    work = job(pictures, tmp_path / "out")
    worker, shards = opened(work)
    assert len(shards) == work.shards == 4
    for shard in shards[:3]:
        work.done(worker.score(shard))
    assert (work.scored, work.rows) == (3, 6)
    work.close()
    again = job(pictures, tmp_path / "out")
    told: list[tuple[int, int]] = []
    again.on_shard = lambda *counts: told.append(counts)
    _, left = opened(again)
    assert [shard.name for shard in left] == [shards[3].name]
    assert (len(again.before.done), again.rows, told) == (3, 6, [(3, 4)])


def test_what_is_left_is_found_while_a_worker_loads(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = job(pictures, tmp_path / "out")
    work.foresee()
    assert work.before.shards == 0, "nothing was begun"
    worker, shards = opened(work)
    work.done(worker.score(shards[0]))
    work.close()
    again = job(pictures, tmp_path / "out")
    again.foresee()
    assert again.before.done.keys() == {shards[0].name}
    monkeypatch.setattr("beholder.rewards.sharded.job.standing", lambda *_, **__: pytest.fail())
    assert [shard.name for shard in again.open(worker.run)] == [s.name for s in shards[1:]]


def test_what_was_foreseen_of_other_scores_is_not_believed(pictures: Path, tmp_path: Path) -> None:
    work = job(pictures, tmp_path / "out")
    worker, shards = opened(work)
    work.done(worker.score(shards[0]))
    again = job(pictures, tmp_path / "out")
    again.foresee()
    assert len(again.open(replace(worker.run, rewards={"r": {"other": 1}}))) == len(shards)


def test_a_source_that_changed_is_told_when_the_worker_stands(
    pictures: Path, tmp_path: Path
) -> None:
    files = {path.name: path.read_bytes() for path in pictures.iterdir()}
    (tmp_path / "tars").mkdir()
    tar = write_tar(tmp_path / "tars" / "0.tar", files)
    worker, _ = opened(job(tar.parent, tmp_path / "out"))
    write_tar(tar.with_name("1.tar"), files)
    again = job(tar.parent, tmp_path / "out")
    again.foresee()
    with pytest.raises(DataError, match="has changed since"):
        again.open(worker.run)


def test_every_shard_is_some_ranks_and_nobody_elses(pictures: Path, tmp_path: Path) -> None:
    parts = [[s.name for s in opened(job(pictures, tmp_path / "out"), (k, 3))[1]] for k in range(3)]
    assert [len(part) for part in parts] == [2, 1, 1]
    assert len({name for part in parts for name in part}) == 4


def test_the_third_failure_is_the_last(pictures: Path, tmp_path: Path) -> None:
    work = job(pictures, tmp_path / "out")
    _, shards = opened(work)
    name = shards[1].name
    verdicts = []
    for _ in range(3):
        attempts.begin(work.folder, name)
        verdicts.append(work.failed(name, "cut off"))
    assert verdicts == [True, True, False]
    assert work.lost == {name: "cut off (attempt 3)"}
    assert work.suspects == {name}
    work.close()
    again = job(pictures, tmp_path / "out")
    assert name not in {shard.name for shard in opened(again)[1]}
    assert again.lost == {name: "cut off (attempt 3)"}
    retry = job(pictures, tmp_path / "out")
    retry.retry_failed = True
    assert len(opened(retry)[1]) == 4
    assert attempts.known(retry.folder) == {}


def test_what_was_begun_before_comes_last_and_silent_deaths_count(
    pictures: Path, tmp_path: Path
) -> None:
    work = job(pictures, tmp_path / "out")
    first, second, *_ = opened(work)[1]
    attempts.begin(work.folder, first.name)
    for _ in range(3):
        attempts.begin(work.folder, second.name)
    again = job(pictures, tmp_path / "out")
    left = opened(again)[1]
    assert left[-1].name == first.name
    assert again.suspects == {first.name}
    assert again.lost == {second.name: f"{attempts.SILENT} (attempt 3)"}


def test_shards_that_all_fail_alike_are_not_at_fault(pictures: Path, tmp_path: Path) -> None:
    work = job(pictures, tmp_path / "out")
    names = [shard.name for shard in opened(work)[1]]
    for name in names:
        attempts.begin(work.folder, name)
    assert work.failed(names[0], "no memory")
    assert work.failed(names[0], "no memory")
    assert work.failed(names[1], "no memory")
    with pytest.raises(
        DataError, match="the first 3 shards failed alike one after another: no memory"
    ):
        work.failed(names[2], "no memory")
    known = attempts.known(work.folder)
    assert [known[name].begun for name in names] == [0, 0, 0, 1]
    assert [s.name for s in opened(job(pictures, tmp_path / "out"))[1]] == [
        names[k] for k in (0, 1, 2, 3)
    ]


def test_deaths_and_later_failures_are_no_such_verdict(pictures: Path, tmp_path: Path) -> None:
    work = job(pictures, tmp_path / "out")
    worker, shards = opened(work)
    assert all(work.failed(shard.name, "killed", alike=False) for shard in shards)
    work.done(worker.score(shards[0]))
    assert all(work.failed(shard.name, "no memory") for shard in shards)


def test_a_shard_that_was_finished_by_a_dying_worker_is_done(
    pictures: Path, tmp_path: Path
) -> None:
    work = job(pictures, tmp_path / "out")
    worker, shards = opened(work)
    worker.score(shards[0])
    assert work.found(shards[0])
    assert not work.found(shards[1])
    assert (work.scored, work.rows) == (1, 2)


def test_rows_with_errors_are_scored_again_only_when_asked(pictures: Path, tmp_path: Path) -> None:
    good = (pictures / "02.png").read_bytes()
    (pictures / "02.png").write_bytes(b"")
    work = job(pictures, tmp_path / "out")
    worker, shards = opened(work)
    for shard in shards:
        work.done(worker.score(shard))
    work.close()
    (pictures / "02.png").write_bytes(good)
    again = job(pictures, tmp_path / "out")
    assert opened(again)[1] == []
    assert again.errors == {"r": {"empty": 1}}
    again = job(pictures, tmp_path / "out")
    again.retry_failed = True
    worker, left = opened(again)
    assert [shard.name for shard in left] == [shards[1].name]
    assert not again.found(left[0])
    again.done(worker.score(left[0]))
    assert (again.rows, again.errors) == (8, {"r": {}})


def test_a_folder_of_another_source_is_refused(pictures: Path, tmp_path: Path) -> None:
    opened(job(pictures, tmp_path / "out"))
    other = write_pictures(tmp_path / "q", [1])
    with pytest.raises(ConfigError, match="source was"):
        Worker(job(other, tmp_path / "out").spec)


def test_a_lost_disk_gives_no_shard_up_whatever_was_done_before(
    pictures: Path, tmp_path: Path
) -> None:
    work = job(pictures, tmp_path / "out")
    worker, shards = opened(work)
    work.done(worker.score(shards[0]))
    names = [f"late-{k}" for k in range(ALIKE_LATER)]
    for name in names[:-1]:
        attempts.begin(work.folder, name)
        assert work.failed(name, f"/mnt/{name}.tar: no such file", kind="ENOENT")
    assert all(work.failed(name, "again", kind="ENOENT") for name in names[:-1])
    attempts.begin(work.folder, names[-1])
    with pytest.raises(DataError, match="10 shards failed alike"):
        work.failed(names[-1], "/mnt/x.tar: no such file", kind="ENOENT")
    assert {found.begun for found in attempts.known(work.folder).values()} == {0}
    assert not work.lost


def test_workers_that_die_before_any_shard_is_done_end_the_run(
    pictures: Path, tmp_path: Path
) -> None:
    work = job(pictures, tmp_path / "out")
    worker, shards = opened(work)
    for _ in range(MOST_DEATHS - 1):
        work.died("gone")
    with pytest.raises(DataError, match="10 workers died and none finished a shard: gone"):
        work.died("gone")
    work.done(worker.score(shards[0]))
    work.died("gone")


def test_a_shard_that_is_given_up_anew_keeps_its_rows_of_before(
    pictures: Path, tmp_path: Path
) -> None:
    (pictures / "02.png").write_bytes(b"")
    work = job(pictures, tmp_path / "out")
    worker, shards = opened(work)
    for shard in shards:
        work.done(worker.score(shard))
    work.close()
    again = job(pictures, tmp_path / "out")
    again.retry_failed = True
    ((left,), rows) = opened(again)[1], again.rows
    assert (rows, again.done_before) == (6, 3)
    for _ in range(3):
        attempts.begin(again.folder, left.name)
        again.failed(left.name, "cut off")
    assert (again.rows, again.errors) == (8, {"r": {"empty": 1}})


def test_other_settings_are_said(
    pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened(job(pictures, tmp_path / "out"))
    other = job(pictures, tmp_path / "out")
    other.spec = replace(other.spec, batch_size=5)
    opened(other)
    assert "batch_size was 2" in caplog.text
    assert "threads" not in caplog.text


def test_a_first_shard_without_prompts_ends_the_run_once(
    pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for text in pictures.glob("*.txt"):
        text.unlink()
    work = job(pictures, tmp_path / "out")
    worker, shards = opened(work)
    with pytest.raises(DataError, match="has a prompt, which r needs"):
        work.done(worker.score(shards[0]))
    work.close()
    again = job(pictures, tmp_path / "out")
    worker, shards = opened(again)
    for shard in shards:
        again.done(worker.score(shard))
    assert len([m for m in caplog.messages if "has a prompt, which r needs" in m]) == 1
