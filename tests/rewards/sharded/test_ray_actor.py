import os
import pickle
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from beholder._run_folder import RunFolder, Shard
from beholder.errors import ConfigError
from beholder.rewards.sharded import attempts, ray_actor
from beholder.rewards.sharded.channel import Fatal
from beholder.rewards.sharded.job import Job, ShardDone, ShardFailed, WorkerSpec
from beholder.rewards.sharded.ray_actor import Actor, Died, Work
from beholder.rewards.sharded.worker import Worker
from beholder.storage import Place
from tests.archives import encoded, write_tar

REWARD: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "deadly": ("tests.rewards.sharded.deadly:Deadly", {"marker": "none"})
}


@pytest.fixture
def spec(tmp_path: Path) -> WorkerSpec:
    tars = tmp_path / "tars"
    tars.mkdir()
    for name, levels in {"a": [1, 2], "b": [3, 4], "c": [5]}.items():
        write_tar(tars / f"{name}.tar", {f"{n}.png": encoded(n) for n in levels})
    return WorkerSpec(folder=str(tmp_path / "out"), source=str(tars), rewards=REWARD, decoders=1)


def shards(spec: WorkerSpec) -> list[Shard]:
    return Job(spec=spec).open(Worker(spec).run)


def folder(spec: WorkerSpec) -> RunFolder:
    return RunFolder(Place(spec.folder))


def test_an_actor_scores_each_shard_and_leaves_one_attempt_for_the_driver_to_clear(
    spec: WorkerSpec,
) -> None:
    planned = shards(spec)
    answers = list(Actor(spec, 60).answers([Work(shard, 0) for shard in planned]))
    done = [a for a in answers if isinstance(a, ShardDone)]
    assert [(a.shard, a.rows) for a in done] == [
        (s.name, n) for s, n in zip(planned, (2, 2, 1), strict=True)
    ]
    assert all(folder(spec).scores(shard.name).exists() for shard in planned)
    assert {n: a.begun for n, a in attempts.known(folder(spec)).items()} == dict.fromkeys(
        (s.name for s in planned), 1
    )


def test_groups_and_answers_pass_as_bytes(spec: WorkerSpec) -> None:
    works = pickle.dumps([Work(shard, 0) for shard in shards(spec)[:1]])
    (answer,) = Actor(spec, 60)(pa.table({"works": [works]}))
    assert pickle.loads(answer["answer"][0].as_py()).rows == 2


def test_a_shard_that_was_begun_since_it_was_handed_out_is_not_begun_again(
    spec: WorkerSpec,
) -> None:
    first, second, _ = shards(spec)
    attempts.begin(folder(spec), first.name)
    answers = list(Actor(spec, 60).answers([Work(first, 0), Work(second, 0)]))
    assert answers[0] == Died(first.name, attempts.SILENT)
    assert isinstance(answers[1], ShardDone)
    assert not folder(spec).scores(first.name).exists()
    assert attempts.count(folder(spec), first.name) == 1


def test_a_shard_that_was_begun_in_an_earlier_pass_is_begun_again(spec: WorkerSpec) -> None:
    first = shards(spec)[0]
    attempts.begin(folder(spec), first.name)
    (answer,) = Actor(spec, 60).answers([Work(first, 1)])
    assert isinstance(answer, ShardDone)
    assert attempts.count(folder(spec), first.name) == 2


def test_an_actor_that_follows_a_dead_one_tells_each_shard_at_its_place_and_scores_none_twice(
    spec: WorkerSpec,
) -> None:
    first, second, third = shards(spec)
    works = [Work(first, 0), Work(second, 0), Work(third, 0)]
    (told,) = Actor(spec, 60).answers(works[:1])
    attempts.clear(folder(spec), first.name)  # the driver was told
    attempts.begin(folder(spec), second.name)  # and then the actor died
    written = Path(folder(spec).scores(first.name).path).stat().st_mtime_ns

    again = list(Actor(spec, 60).answers(works))

    assert isinstance(told, ShardDone)
    assert isinstance(again[0], ShardDone)
    assert (again[0].rows, again[0].errors, again[0].footer) == (2, told.errors, told.footer)
    assert Path(folder(spec).scores(first.name).path).stat().st_mtime_ns == written
    assert again[1] == Died(second.name, attempts.SILENT)
    assert isinstance(again[2], ShardDone)
    assert again[2].shard == third.name


def test_a_finished_shard_is_scored_again_where_that_is_asked(spec: WorkerSpec) -> None:
    first = shards(spec)[0]
    list(Actor(spec, 60).answers([Work(first, 0)]))
    attempts.clear(folder(spec), first.name)
    (kept,) = Actor(spec, 60).answers([Work(first, 0)])
    (scored,) = Actor(spec, 60).answers([Work(first, 0, anew=True)])
    assert isinstance(kept, ShardDone)
    assert isinstance(scored, ShardDone)
    assert kept.seconds == 0 < scored.seconds


def test_an_unreadable_shard_fails_alone(spec: WorkerSpec) -> None:
    first, second, _ = shards(spec)
    Path(first.source).write_bytes(b"no tar")
    failed, done = Actor(spec, 60).answers([Work(first, 0), Work(second, 0)])
    assert isinstance(failed, ShardFailed)
    assert failed.shard == first.name
    assert isinstance(done, ShardDone)


def test_a_worker_that_cannot_be_made_is_the_answer(spec: WorkerSpec) -> None:
    shards(spec)
    other = WorkerSpec(folder=spec.folder, source=spec.source, rewards={"tiny": ("tiny", {})})
    (answer,) = Actor(other, 60).answers([])
    assert isinstance(answer, Fatal)
    assert answer.kind is ConfigError
    assert ray_actor.claimed(other) == answer


def test_a_disk_that_takes_nothing_ends_the_run_and_costs_no_attempt(
    spec: WorkerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = shards(spec)[0]
    actor = Actor(spec, 60)
    write = Place.write

    def full(place: Place, contents: bytes) -> None:
        if place.name.endswith(".parquet"):
            raise OSError(28, "No space left on device")
        write(place, contents)

    monkeypatch.setattr(Place, "write", full)
    (answer,) = actor.answers([Work(shard, 0)])
    assert isinstance(answer, Fatal)
    assert "No space left" in answer.text
    assert attempts.known(folder(spec)) == {}


class Gone(BaseException):
    """Stands for the end of the process."""


def test_what_nobody_foresaw_ends_the_process_with_its_reason(
    spec: WorkerSpec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = shards(spec)[0]

    def leave(code: int) -> None:
        raise Gone

    def broken(worker: Worker, begun: Iterator[Shard], saw: object) -> Iterator[ShardDone]:
        next(begun)
        raise KeyError(15)
        yield

    monkeypatch.setattr(Worker, "score_each", broken)
    monkeypatch.setattr(os, "_exit", leave)
    with pytest.raises(Gone):
        list(Actor(spec, 60).answers([Work(shard, 0)]))
    assert attempts.known(folder(spec))[shard.name].why == "its worker broke: KeyError: 15"
    assert "KeyError" in capsys.readouterr().err


def test_a_hanging_batch_ends_the_process_but_idling_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = threading.Event()

    def leave(code: int) -> None:
        left.set()

    monkeypatch.setattr(os, "_exit", leave)
    out = RunFolder(Place(tmp_path))
    watch = ray_actor.Watch(out, 0.1)
    assert not left.wait(0.3)
    attempts.begin(out, "a")
    watch.in_hand.add("a")
    with watch:
        assert left.wait(10)
    assert attempts.known(out)["a"].why == "no batch was done for 0.1 s"
