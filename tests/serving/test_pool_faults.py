"""Processes die in every way, at any moment; what they had in hand is answered all the same."""

import asyncio
import math
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from beholder.serving.items import Answer
from beholder.serving.pool import Pool
from beholder.serving.refusals import DeadlineError, NotReadyError
from beholder.serving.worker import Worker
from tests.serving.pools import (
    LONG,
    Stage,
    is_running,
    item,
    run,
    scored,
    staged,
    started,
    totals,
    until,
    weights_of,
)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return staged(tmp_path, monkeypatch)


def codes(answers: list[Answer]) -> list[str]:
    return [answer.faults["bytes"].code if answer.faults else "" for answer in answers]


@pytest.mark.parametrize("attempts", [2, 3])
def test_a_picture_that_kills_takes_no_other_with_it(stage: Stage, attempts: int) -> None:
    async def main() -> None:
        async with started(stage.pool(attempts=attempts)) as pool:
            items = [item(size=1), item(size=2), item("die"), item(size=4), item(size=5)]
            answers = await scored(pool, *items)
            assert totals(answers) == [1, 2, None, 4, 5]
            assert codes(answers)[2] == "worker-died"
            assert f"{attempts} times" in answers[2].faults["bytes"].message
        assert stage.tried("die") == attempts

    run(main())


def test_every_way_to_die_is_survived(stage: Stage) -> None:
    ways = ["die", "half", "garbage", "mute", "orphan", "exit"]

    async def main() -> None:
        async with started(stage.pool(2)) as pool:
            mixed = [item(prompt, size=k) for k, prompt in enumerate([*ways, *[""] * 6])]
            answers = await scored(pool, *mixed)
            assert codes(answers) == ["worker-died"] * 6 + [""] * 6
            assert totals(answers)[6:] == [6, 7, 8, 9, 10, 11]
            assert {stage.tried(way) for way in ways} <= {1, 2}  # one may die of another's

    run(main())


def test_an_item_is_never_tried_again_that_its_worker_never_saw(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.pool(attempts=1)) as pool:
            answers = await scored(pool, item("die"), *[item("after")] * 30)
            lost = codes(answers).count("worker-died")
            assert 1 <= lost <= 12  # what it had in hand
            assert stage.tried("after") >= 31 - lost

    run(main())


async def request(pool: Pool, sizes: list[int]) -> None:
    """Ask until it is answered, as a client does."""
    while True:
        try:
            assert totals(await scored(pool, *(item(size=size) for size in sizes))) == sizes
        except NotReadyError as refused:
            assert refused.retry_after is not None
            await asyncio.sleep(0.02)
        else:
            return


async def kill_some(pool: Pool, chance: random.Random) -> None:
    for _ in range(12):
        await asyncio.sleep(chance.uniform(0, 0.1))
        if pids := pool.pids():
            os.kill(chance.choice(pids), signal.SIGKILL)


def test_killing_at_any_moment_loses_and_doubles_nothing(stage: Stage) -> None:
    async def main() -> None:
        chance = random.Random(0)
        async with started(stage.with_worker(seconds=0.005).pool(2, attempts=13)) as pool:
            kills = asyncio.create_task(kill_some(pool, chance))
            while not kills.done():
                sizes = [[chance.randrange(20_000) for _ in range(9)] for _ in range(12)]
                await asyncio.gather(*(request(pool, row) for row in sizes))
            assert await pool.drain(5) == 0

    run(main())


def test_full_pipes_in_both_directions_stop_nothing(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.with_worker(batch_size=32).pool()) as pool:
            items = [item("flood" if k < 2 else "", size=2**20) for k in range(64)]
            assert totals(await scored(pool, *items)) == [2**20] * 64

    run(main())


def hung_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was given "hang" is silent for ever, and no other is, however slow it is."""

    def silent_for(worker: Worker) -> float:
        return math.inf if any(j.item.prompt == "hang" for j in worker.in_hand.values()) else 0.0

    monkeypatch.setattr(Worker, "silent_for", silent_for)


def test_a_worker_that_hangs_is_killed_and_the_others_items_are_scored(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung_at_once(monkeypatch)

    async def main() -> None:
        async with started(stage.pool(stall_seconds=0.4)) as pool:
            answers = await scored(pool, item("hang"), item(size=2), item(size=3))
            assert codes(answers) == ["worker-died", "", ""]
            assert totals(answers)[1:] == [2, 3]

    run(main())


def test_a_worker_that_hangs_is_killed_though_all_who_asked_have_left(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.pool(stall_seconds=1.5, attempts=9)) as pool:
            old = pool.pids()
            with pytest.raises(DeadlineError):
                await scored(pool, item("hang"), timeout=0.1)
            await until(lambda: bool(pool.pids()) and pool.pids() != old)
            assert totals(await scored(pool, item(size=2))) == [2]
        assert stage.tried("hang") <= 1

    run(main())


def test_a_worker_that_hangs_is_killed_while_others_keep_asking_and_leaving(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.pool(stall_seconds=1.5, attempts=9)) as pool:
            old = pool.pids()
            hanging = asyncio.create_task(scored(pool, item("hang")))
            await until(lambda: stage.tried("hang") == 1)
            async with asyncio.timeout(LONG):
                while pool.pids() in ([], old):
                    with suppress(DeadlineError, NotReadyError):
                        await scored(pool, item("left"), timeout=0.1)
                    await asyncio.sleep(0.01)
            hanging.cancel()
            await asyncio.wait({hanging})

    run(main())


def test_an_idle_worker_is_never_taken_for_one_that_hangs(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.pool(stall_seconds=0.1)) as pool:
            (pid,) = pool.pids()
            await asyncio.sleep(0.5)
            assert pool.pids() == [pid]
            assert is_running(pid)

    run(main())


def test_a_picture_that_killed_its_workers_is_known_until_a_reload(stage: Stage) -> None:
    deadly, other = item("die", size=5), item("die", size=6)

    async def main() -> None:
        async with started(stage.pool()) as pool:
            assert codes(await scored(pool, deadly)) == ["worker-died"]
            await until(lambda: pool.unready == "")
            loads = stage.loads()
            again = await scored(pool, deadly, item(size=2))
            assert codes(again) == ["worker-died", ""]
            assert "not tried again" in again[0].faults["bytes"].message
            assert (stage.loads(), stage.tried("die")) == (loads, 2)
            assert codes(await scored(pool, other)) == ["worker-died"]
            assert stage.tried("die") == 4
            await until(lambda: pool.unready == "")
            await pool.reload()
            assert codes(await scored(pool, deadly)) == ["worker-died"]
            assert stage.tried("die") == 6

    run(main())


def test_who_dies_of_a_neighbour_is_not_remembered(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.pool(attempts=1)) as pool:
            answers = await scored(pool, item("die", size=5), item(size=6))
            assert codes(answers) == ["worker-died"] * 2
            await until(lambda: pool.unready == "")
            assert totals(await scored(pool, item(size=6))) == [6]

    run(main())


def test_without_a_worker_the_pool_says_when_to_come_again_and_heals(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.pool()) as pool:
            stage.put("gone")
            began = time.monotonic()
            os.kill(pool.pids()[0], signal.SIGKILL)
            await until(lambda: "ended" in pool.unready)
            with pytest.raises(NotReadyError) as refused:
                await scored(pool, item())
            assert refused.value.retry_after is not None
            await until(lambda: stage.loads() >= 4)
            assert time.monotonic() - began > 0.02 + 0.04 + 0.08  # pauses that grow
            stage.put("2")
            await until(lambda: pool.unready == "")
            assert weights_of(await scored(pool, item())) == {2}

    run(main())


def test_workers_never_serve_different_weights_side_by_side(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.pool(2)) as pool:
            old = pool.pids()
            stage.put("2")
            os.kill(old[0], signal.SIGKILL)
            await until(lambda: pool.rewards["bytes"].identity == {"weights": "2"})
            assert weights_of(await scored(pool, *[item()] * 20)) == {2}
            await until(lambda: sum(map(is_running, stage.loaders())) == 2)
            assert not set(pool.pids()) & set(old)

    run(main())
