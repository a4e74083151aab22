"""A worker process as the front sees it: what it may hold, what it is told, how it ends."""

import asyncio
import os
from pathlib import Path

import pytest

from beholder.errors import DataError
from beholder.serving import link
from beholder.serving import worker as worker_module
from beholder.serving.items import Item
from beholder.serving.link import Answered, Batch
from beholder.serving.queueing import Job, Queue
from beholder.serving.settings import WorkerSettings
from beholder.serving.worker import Worker
from tests.serving.pools import Stage, is_running, item, run, staged, until


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return staged(tmp_path, monkeypatch)


class Front:
    """Takes down what a worker says."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.now = 100.0
        self.worker = Worker(settings, self.heard, lambda: self.now)
        self.queue = Queue(1000, 2**40)
        self.totals: dict[int, float] = {}
        self.faults: dict[int, str] = {}
        self.batches: list[int] = []

    def heard(self, worker: Worker, message: Answered | Batch, job: Job | None) -> None:
        assert worker is self.worker
        if isinstance(message, Batch):
            self.batches.append(message.size)
            return
        assert job is not None
        assert job.id == message.id
        for scored in message.answer.scores.values():
            self.totals[job.id] = scored.total
        for fault in message.answer.faults.values():
            self.faults[job.id] = fault.code

    def jobs(self, *items: Item) -> list[Job]:
        self.queue.enter(items)
        return [self.queue.take() for _ in items]

    def give(self, *items: Item) -> list[Job]:
        jobs = self.jobs(*items)
        for job in jobs:
            self.worker.give(job)
        return jobs


def test_a_worker_loads_answers_and_ends_when_told(stage: Stage) -> None:
    async def main() -> None:
        front = Front(stage.settings.workers[0])
        assert (front.worker.is_up, front.worker.has_room()) == (False, False)
        await front.worker.load()
        assert [info.name for info in front.worker.rewards] == ["bytes"]
        jobs = front.give(*[item(size=size) for size in (3, 1, 2)])
        await until(lambda: len(front.totals) == 3 and bool(front.batches))
        assert [front.totals[job.id] for job in jobs] == [3, 1, 2]
        assert sum(front.batches) == 3
        await front.worker.end(20)
        assert not is_running(front.worker.pid)
        assert (front.worker.cause, front.worker.was_killed) == ("it ended (exit code 0)", False)

    run(main())


def test_a_worker_that_retires_first_answers_what_it_has_in_hand(stage: Stage) -> None:
    async def main() -> None:
        front = Front(stage.with_worker(seconds=0.05).settings.workers[0])
        await front.worker.load()
        front.give(*[item()] * 9)
        retiring = asyncio.create_task(front.worker.retire(20))
        await asyncio.sleep(0)
        assert not front.worker.has_room()
        await retiring
        assert len(front.totals) == 9
        assert front.worker.cause == "it ended (exit code 0)"

    run(main())


def test_what_may_be_in_hand_is_bounded_in_items_and_bytes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        front = Front(stage.settings.workers[0])
        await front.worker.load()
        front.give(*[item()] * 11)
        assert front.worker.has_room()  # 3 batches of 4
        front.give(item())
        assert not front.worker.has_room()
        monkeypatch.setattr(worker_module, "_BYTES", 5)
        await until(lambda: not front.worker.in_hand)
        assert front.worker.has_room()
        (big,) = front.give(item("slow", size=6))
        assert not front.worker.has_room()
        await until(lambda: not front.worker.in_hand)
        assert front.worker.has_room()
        assert front.totals[big.id] == 6
        front.worker.kill()
        await front.worker.gone()

    run(main())


def test_a_job_that_nobody_waits_for_is_let_go_before_or_after_it_was_sent(stage: Stage) -> None:
    async def main() -> None:
        front = Front(stage.settings.workers[0])
        await front.worker.load()
        front.give(item("gate"))
        await until(lambda: stage.tried("gate") == 1)
        (sent,) = front.give(item("sent"))
        await until(lambda: not front.worker.unsent())
        (unsent,) = front.give(item("unsent"))
        assert front.worker.unsent() == [unsent]
        for job in (sent, unsent):
            front.worker.drop(job)
        assert {sent.id} == front.worker.in_hand.keys() & {sent.id, unsent.id}
        await until(lambda: len(front.worker.in_hand) == 1)
        stage.open()
        await until(lambda: not front.worker.in_hand)
        assert front.totals.keys() & {sent.id, unsent.id} == set()
        assert stage.tried("sent") == stage.tried("unsent") == 0
        front.worker.kill()
        await front.worker.gone()

    run(main())


def test_an_item_that_cannot_travel_is_a_fault_and_not_the_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "MAX_BYTES", 1000)

    async def main() -> None:
        front = Front(stage.settings.workers[0])
        await front.worker.load()
        bad, good = front.give(item(size=4000), item(size=4))
        await until(lambda: good.id in front.totals)
        assert front.faults == {bad.id: "too-large"}
        front.worker.kill("the test is over")
        await front.worker.gone()
        assert front.worker.cause == "the test is over"

    run(main())


def test_settings_that_cannot_travel_are_told_before_a_process_starts(stage: Stage) -> None:
    async def main() -> None:
        front = Front(WorkerSettings(rewards={"r": ("none", {"path": Path("x")})}))
        with pytest.raises(DataError, match="Begin"):
            await front.worker.load()
        assert front.worker.pid == 0

    run(main())


def test_a_worker_that_does_not_load_in_time_is_killed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LOAD_SECONDS", 0.2)
    stage.put("slow")

    async def main() -> None:
        front = Front(stage.settings.workers[0])
        with pytest.raises(DataError, match=r"within 0\.2 seconds"):
            await front.worker.load()
        assert not is_running(front.worker.pid)
        assert not front.worker.was_killed  # by others

    run(main())


def test_giving_up_the_load_at_any_moment_leaves_no_process(stage: Stage) -> None:
    async def main() -> None:
        for wait in (0, 0.001, 0.01, 0.03, 0.06):
            front = Front(stage.settings.workers[0])
            loading = asyncio.create_task(front.worker.load())
            await asyncio.sleep(wait)
            is_up = loading.done()
            loading.cancel()
            await asyncio.wait({loading})
            if is_up:
                front.worker.kill()
                await front.worker.gone()
            assert front.worker.pid == 0 or not is_running(front.worker.pid)

    run(main())


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_process_that_decodes_pictures_of_strangers_knows_no_token(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BEHOLDER_TOKEN", "LABEL_STUDIO_API_KEY"):
        monkeypatch.setenv(name, "a-secret-of-the-front")

    async def main() -> None:
        front = Front(stage.settings.workers[0])
        await front.worker.load()
        environment = Path(f"/proc/{front.worker.pid}/environ").read_bytes()
        assert b"a-secret-of-the-front" not in environment
        assert os.environ["PATH"].encode() in environment
        front.worker.kill()
        await front.worker.gone()

    run(main())


def test_only_batches_are_progress_and_an_idle_worker_owes_none(stage: Stage) -> None:
    async def main() -> None:
        front = Front(stage.settings.workers[0])
        await front.worker.load()
        front.now += 1000
        assert front.worker.silent_for() == 0  # nothing is in hand
        (first,) = front.give(item("gate"))
        await until(lambda: stage.tried("gate") == 1)
        front.now += 5
        left = front.give(item("left"), item("stays"))[0]
        front.worker.drop(first)  # its batch runs, it cannot be let go
        front.worker.drop(left)
        await until(lambda: len(front.worker.in_hand) == 2)
        front.now += 6
        assert front.worker.silent_for() == 11  # that one was let go does not count
        front.worker.excuse()
        assert front.worker.silent_for() == 0
        front.now += 7
        stage.open()
        await until(lambda: len(front.batches) == 2)
        assert front.worker.silent_for() == 0
        front.worker.kill()
        await front.worker.gone()

    run(main())


def test_a_worker_that_cannot_be_talked_to_is_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(pipe: object) -> None:
        raise OSError("too many open files")

    monkeypatch.setattr(worker_module, "_writer", fail)

    async def main() -> None:
        front = Front(stage.settings.workers[0])
        with pytest.raises(DataError, match="could not load the rewards: it was killed"):
            await front.worker.load()
        assert not is_running(front.worker.pid)

    run(main())
    assert "its front failed" in caplog.text
