"""A shard's file has the rows that `score_table` gives, to the bit, whatever was scored before."""

import threading
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import beholder
from beholder._plan.reading import shard_rows
from beholder._run_folder import Shard, is_done, read_footer
from beholder.errors import ConfigError, DataError, WeightsError
from beholder.inputs import Inputs, Row
from beholder.rewards import _read_ahead as reading
from beholder.rewards import scoring
from beholder.rewards._cells import BatchScorer
from beholder.rewards.sharded import worker as workers
from beholder.rewards.sharded.job import Job, ShardDone, ShardFailed
from beholder.rewards.sharded.worker import Worker
from beholder.tables import ScoreTable
from tests.rewards.sharded.hostile import DEADLY, job, write_pictures

LEVELS = [20 * k for k in range(1, 10)]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Nine pictures with prompts; `03.png` is cut off."""
    folder = write_pictures(tmp_path / "p", LEVELS)
    (folder / "03.png").write_bytes((folder / "03.png").read_bytes()[:50])
    return folder


def opened(work: Job) -> tuple[Worker, list[Shard]]:
    worker = Worker(work.spec)
    return worker, work.open(worker.run)


def rows_of(work: Job) -> list[dict[str, Any]]:
    files = (work.folder.scores(shard.name).path for shard in work.folder.plan())
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def test_rows_equal_those_of_one_table_to_the_bit(pictures: Path, tmp_path: Path) -> None:
    work = job(pictures, tmp_path / "out", shard_size=4)
    worker, shards = opened(work)
    calls: list[int] = []
    done = [worker.score(shard, calls.append) for shard in shards]
    assert [d.rows for d in done] == [4, 4, 1]
    assert sum(calls) == 9
    assert [d.errors for d in done] == [{"r": {"truncated": 1}}, {"r": {}}, {"r": {}}]
    rewards = {"r": beholder.load("tiny")}
    scoring.score_table(scoring.read_inputs(pictures), rewards, tmp_path / "t", batch_size=2)
    assert rows_of(work) == list(ScoreTable(tmp_path / "t").rows())


def test_the_footer_proves_the_shard_done(pictures: Path, tmp_path: Path) -> None:
    work = job(pictures, tmp_path / "out", shard_size=9)
    worker, (shard,) = opened(work)
    done = worker.score(shard)
    schema = pq.read_schema(work.folder.scores(shard.name).path)
    assert is_done(read_footer(schema), shard, worker.run.config_hash)
    assert read_footer(schema) == done.footer
    assert not is_done(done.footer, replace(shard, mark="other"), worker.run.config_hash)


def test_a_shard_does_not_depend_on_its_neighbours(pictures: Path, tmp_path: Path) -> None:
    one, other = (job(pictures, tmp_path / name, shard_size=3) for name in ("a", "b"))
    worker, shards = opened(one)
    assert len(list(worker.score_each(shards))) == 3
    worker, shards = opened(other)
    for shard in reversed(shards):
        worker.score(shard)
    assert rows_of(one) == rows_of(other)


def test_the_next_shard_is_read_while_the_present_one_is_scored(
    pictures: Path, tmp_path: Path
) -> None:
    worker, shards = opened(job(pictures, tmp_path / "out", shard_size=3))
    done: list[str] = []
    done_when_taken: list[int] = []

    def taken() -> Iterator[Shard]:
        for shard in shards:
            done_when_taken.append(len(done))
            yield shard

    done.extend(one.shard for one in worker.score_each(taken()))
    assert done == [shard.name for shard in shards]
    assert done_when_taken[:2] == [0, 0]


def test_a_bad_shard_harms_no_other(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = job(pictures, tmp_path / "out", shard_size=3)
    worker, shards = opened(work)
    read = shard_rows

    def cut_off(shard: Shard) -> Inputs:
        rows = read(shard)
        if shard.name != shards[1].name:
            return rows

        def some() -> Iterator[Row]:
            yield next(iter(rows))
            raise DataError("the archive ends too early")

        return replace(rows, rows=some)

    monkeypatch.setattr(workers, "shard_rows", cut_off)
    first, second, third = worker.score_each(shards)
    assert isinstance(first, ShardDone)
    assert second == ShardFailed(
        shard=shards[1].name,
        why="the archive ends too early",
        kind="DataError: the archive ends too early",
    )
    assert isinstance(third, ShardDone)
    assert not work.folder.scores(shards[1].name).exists()
    with pytest.raises(DataError, match="ends too early"):
        worker.score(shards[1])


def test_a_key_that_repeats_in_a_shard_is_refused(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, (shard, *_) = opened(job(pictures, tmp_path / "out", shard_size=3))
    rows = list(shard_rows(shard))
    twice = Inputs("s", True, lambda: iter([*rows, rows[0]]), lambda: 4)  # noqa: FBT003
    monkeypatch.setattr(workers, "shard_rows", lambda _: twice)
    with pytest.raises(DataError, match=r"key '00\.png' occurs twice"):
        worker.score(shard)


def test_a_reward_that_fails_on_one_picture_loses_one_row(tmp_path: Path) -> None:
    source = write_pictures(tmp_path / "p", [0, 0, 50])
    work = job(source, tmp_path / "out", DEADLY)
    worker, shards = opened(work)
    assert [worker.score(s).errors for s in shards] == [{"r": {"reward-failed": 2}}, {"r": {}}]
    assert [row["r.total"] for row in rows_of(work)] == [None, None, pytest.approx(50 / 255)]


def test_a_shard_of_broken_pictures_has_the_columns_of_the_others(tmp_path: Path) -> None:
    source = write_pictures(tmp_path / "p", [10, 20, 30])
    (source / "00.png").write_bytes(b"")
    work = job(source, tmp_path / "out", "tests.rewards.sharded.hostile:Marked", shard_size=1)
    worker, shards = opened(work)
    for _ in worker.score_each(shards):
        pass
    names = [pq.read_schema(work.folder.scores(s.name).path).names for s in shards]
    assert names[0] == names[1] == names[2]
    assert {"r.red.area", "r.red.peak", "r.misaligned_words", "r.misaligned_share"} < set(names[0])
    assert rows_of(work)[0]["r.red.area"] is None


def test_only_a_batch_of_pictures_is_held(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(30):
        Image.new("RGB", (8, 8), (k, k, k)).save(pictures / f"z{k:02d}.png")
    worker, (shard,) = opened(job(pictures, tmp_path / "out", shard_size=99))
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    decode, most = reading.decode, 0

    def counted(*given: Any) -> Any:
        views = decode(*given)
        if isinstance(views, dict):
            alive.update(views.values())
        return views

    def look(pictures: int) -> None:
        nonlocal most
        most = max(most, len(alive))

    monkeypatch.setattr(reading, "decode", counted)
    assert worker.score(shard, look).rows == 39
    # a batch that was just scored, and as many that wait, beside one in the making and one in hand
    assert 0 < most <= 2 + 2 + 1 + 1 + 1


def test_other_settings_are_refused_when_the_worker_is_made(pictures: Path, tmp_path: Path) -> None:
    spec = job(pictures, tmp_path / "out").spec
    Worker(spec)
    with pytest.raises(ConfigError, match=r"options\.seed was 0, now 1"):
        Worker(replace(spec, rewards={"r": ("tiny", {"seed": 1})}))
    with pytest.raises(ConfigError, match="alpha was 'white', now 'black'"):
        Worker(replace(spec, alpha="black"))


def test_what_cannot_be_loaded_says_so_at_once(tmp_path: Path) -> None:
    spec = job(tmp_path, tmp_path / "out").spec
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text("{")
    for rewards, error in (
        ({}, ConfigError),
        ({"r": ("tini", {})}, ConfigError),
        ({"and": ("tiny", {})}, ConfigError),
        ({"r": (str(tmp_path / "damaged"), {})}, WeightsError),
    ):
        with pytest.raises(error):
            Worker(replace(spec, rewards=rewards))
    assert not (tmp_path / "out").exists()


def test_calibrations_lie_under_the_run(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(folder: Path, rewards: dict[str, object]) -> None:
        (folder / "rewards" / "r").mkdir(parents=True)
        (folder / "rewards" / "r" / "calibration.json").write_text("{}")

    monkeypatch.setattr(workers, "keep_in_table", write)
    Worker(job(pictures, tmp_path / "out").spec)
    assert (tmp_path / "out/_run/rewards/r/calibration.json").read_text() == "{}"


def test_what_nobody_foresaw_fails_its_shard_and_no_other(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, shards = opened(job(pictures, tmp_path / "out", shard_size=3))
    decode = reading.decode

    def broken(task: Any, *given: Any) -> Any:
        if task.row.key == "03.png":
            raise KeyError("x")
        return decode(task, *given)

    monkeypatch.setattr(reading, "decode", broken)
    first, second, third = worker.score_each(shards)
    assert isinstance(first, ShardDone)
    assert second == ShardFailed(shard=shards[1].name, why="KeyError: 'x'", kind="KeyError: …")
    assert isinstance(third, ShardDone)


def test_a_gpu_that_answers_nothing_is_no_shards_fault(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, shards = opened(job(pictures, tmp_path / "out", shard_size=3))

    def lost(scorer: object, batch: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(BatchScorer, "score", lost)
    with pytest.raises(RuntimeError, match="CUDA error"):
        list(worker.score_each(shards))


def test_a_slow_store_does_not_keep_the_model_waiting(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(30):
        Image.new("RGB", (8, 8), (k, k, k)).save(pictures / f"z{k:02d}.png")
    worker, (first, second, *_) = opened(job(pictures, tmp_path / "out", shard_size=20))
    fetching, scored = threading.Event(), threading.Event()

    def slow(shard: Shard) -> Inputs:
        if shard.name == second.name:
            fetching.set()
            assert scored.wait(60)  # a batch of the first shard, meanwhile
        return shard_rows(shard)

    def tell(pictures: int) -> None:
        if fetching.wait(60):
            scored.set()

    monkeypatch.setattr(workers, "shard_rows", slow)
    assert all(isinstance(d, ShardDone) for d in worker.score_each([first, second], tell))
