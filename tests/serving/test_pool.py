"""Every item is answered once and in order, and nobody is refused who need not be."""

import asyncio
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from beholder.errors import DataError, WeightsError
from beholder.serving.items import Fault, Item
from beholder.serving.metrics import Metrics
from beholder.serving.pool import Pool
from beholder.serving.refusals import DeadlineError, NotReadyError, QueueFullError, TooLargeError
from tests.serving.pools import (
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


def test_requests_side_by_side_get_their_own_answers_in_order(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.pool(2)) as pool:
            sizes = [[100 * r + k for k in range(r)] for r in range(1, 30)]
            asked = [scored(pool, *(item(size=size) for size in row)) for row in sizes]
            assert [totals(answers) for answers in await asyncio.gather(*asked)] == sizes
            assert await pool.score([], timeout=1) == []

    run(main())


def test_an_item_without_a_picture_needs_no_worker(stage: Stage) -> None:
    fault = Fault("url", "refused")
    without = Item(picture=fault, prompt=None, rewards=("bytes", "other"))

    async def main() -> None:
        async with started(stage.pool(queue=1)) as pool:
            first, second, third = await scored(pool, without, item(size=7), without)
            assert first.faults == third.faults == {"bytes": fault, "other": fault}
            assert second.scores["bytes"].total == 7
        assert stage.tried("None") == 0

    run(main())


def test_all_workers_have_work_and_none_holds_more_than_a_few_batches(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.with_worker(seconds=0.05).pool(2)) as pool:
            asked = asyncio.create_task(scored(pool, *[item("ab"[k % 2]) for k in range(40)]))
            await asyncio.sleep(0)
            held = {w.pid: len(w.in_hand) for w in pool._crew.alive}
            assert set(held.values()) == {12}
            pids = [answer.scores["bytes"].aspects["pid"] for answer in await asked]
            assert {pids.count(pid) for pid in pool.pids()} <= set(range(12, 29))

    run(main())


def test_what_is_over_the_queue_is_refused_whole_and_told_when_to_come_again(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.pool(queue=3, queue_bytes=1000)) as pool:
            slow = asyncio.create_task(scored(pool, item("slow"), item("slow")))
            await asyncio.sleep(0)
            for items in ([item()] * 2, [item(size=999)]):
                with pytest.raises(QueueFullError) as refused:
                    await scored(pool, *items)
                assert refused.value.retry_after == 1.0
            for items in ([item()] * 4, [item(size=1001)]):
                with pytest.raises(TooLargeError):
                    await scored(pool, *items)
            assert totals(await scored(pool, item(size=5))) == [5]
            assert totals(await slow) == [1, 1]

    run(main())


def test_who_leaves_makes_room_at_once_and_what_waited_is_never_tried(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.pool(queue=40)) as pool:
            first = asyncio.create_task(scored(pool, item("gate")))
            await until(lambda: stage.tried("gate") == 1)
            leaving = asyncio.create_task(scored(pool, *[item("left")] * 39))
            await asyncio.sleep(0)
            with pytest.raises(QueueFullError):
                await scored(pool, item())
            leaving.cancel()
            await asyncio.wait({leaving})
            second = asyncio.create_task(scored(pool, *[item(size=9)] * 39))
            await asyncio.sleep(0)
            stage.open()
            assert totals((await asyncio.gather(first, second))[1]) == [9] * 39
        assert stage.tried("left") <= 11  # in hand beside the first; the worker drops them

    run(main())


def test_a_request_that_takes_too_long_is_told_so_and_makes_room(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.pool(queue=4)) as pool:
            with pytest.raises(DeadlineError, match=r"4 of 4 .* 0\.05 seconds"):
                await scored(pool, *[item("gate")] * 4, timeout=0.05)
            stage.open()
            assert totals(await scored(pool, *[item(size=2)] * 4)) == [2] * 4

    run(main())


def test_a_reload_under_load_refuses_nobody_and_no_request_sees_both_weights(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.with_worker(seconds=0.01).pool(2)) as pool:
            old = pool.pids()
            is_over = False
            seen: list[set[float | None]] = []

            async def client() -> None:
                while not is_over:
                    seen.append(weights_of(await scored(pool, *[item()] * 9)))

            clients = [asyncio.create_task(client()) for _ in range(8)]
            await until(lambda: len(seen) > 8)
            stage.put("2")
            await pool.reload()
            assert pool.rewards["bytes"].identity == {"weights": "2"}
            assert weights_of(await scored(pool, *[item()] * 9)) == {2}
            await until(lambda: {2} in seen)
            is_over = True
            await asyncio.gather(*clients)
            assert [len(weights) for weights in seen] == [1] * len(seen)
            assert set.union(*seen) == {1, 2}
            await until(lambda: not any(map(is_running, old)))

    run(main())


def test_a_reload_that_fails_or_is_given_up_leaves_the_old_weights(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.pool(2)) as pool:
            old = pool.pids()
            stage.put("broken")
            with pytest.raises(WeightsError, match="the weights are broken"):
                await pool.reload()
            stage.put("slow")
            loads = stage.loads()
            given_up = asyncio.create_task(pool.reload())
            await until(lambda: stage.loads() == loads + 2)
            given_up.cancel()
            await asyncio.wait({given_up})
            assert pool.pids() == old
            assert weights_of(await scored(pool, *[item()] * 9)) == {1}
            assert {pid for pid in stage.loaders() if is_running(pid)} == set(old)

    run(main())


def test_a_reload_heals_what_dies_meanwhile(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.pool(2)) as pool:
            stage.put("2")
            asked = asyncio.create_task(scored(pool, item("slow"), *[item(size=3)] * 30))
            reload = asyncio.create_task(pool.reload())
            await asyncio.sleep(0.01)
            for pid in pool.pids():
                os.kill(pid, signal.SIGKILL)
            await reload
            assert totals(await asked) == [1, *[3] * 30]
            assert weights_of(await scored(pool, *[item()] * 9)) == {2}
            await until(lambda: sum(map(is_running, stage.loaders())) == 2)

    run(main())


@pytest.mark.parametrize(
    ("weights", "error", "said", "loads"),
    [
        ("broken", WeightsError, "the weights are broken", 2),
        ("gone", DataError, r"could not load the rewards: it ended \(exit code 7\)", 2),
        ("killed", DataError, "it was killed .SIGKILL, signal 9.", 6),
    ],
)
def test_workers_that_cannot_load_end_the_start(
    stage: Stage, weights: str, error: type[Exception], said: str, loads: int
) -> None:
    async def main() -> None:
        stage.put(weights)
        pool = stage.pool(2)
        with pytest.raises(error, match=said):
            await pool.start()
        with pytest.raises(NotReadyError, match="loading"):
            await scored(pool, item())
        assert not any(map(is_running, stage.loaders()))
        assert stage.loads() <= loads
        await pool.close()

    run(main())


def test_draining_answers_what_was_accepted_and_nothing_else(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.with_worker(seconds=0.05).pool()) as pool:
            asked = asyncio.create_task(scored(pool, *[item(size=8)] * 20))
            await asyncio.sleep(0)
            drained = asyncio.create_task(pool.drain(20))
            await asyncio.sleep(0)
            with pytest.raises(NotReadyError, match="about to end"):
                await scored(pool, item())
            assert totals(await asked) == [8] * 20
            assert await drained == 0

    run(main())


def test_draining_and_closing_never_wait_for_a_worker_that_hangs(stage: Stage) -> None:
    async def main() -> None:
        pool = stage.pool(2)
        await pool.start()
        pids = pool.pids()
        asked = asyncio.create_task(scored(pool, item("hang"), item("hang"), item(size=1)))
        await until(lambda: stage.tried("hang") == 2)
        began = time.monotonic()
        assert await pool.drain(0.1) == 3
        await pool.close()
        assert time.monotonic() - began < 10
        with pytest.raises(NotReadyError):
            await asked
        assert not any(map(is_running, pids))
        await pool.close()

    run(main())


def test_closing_ends_what_still_loads(stage: Stage) -> None:
    async def main() -> None:
        stage.put("slow")
        pool = stage.pool(2)
        starting = asyncio.create_task(pool.start())
        await until(lambda: stage.loads() == 2)
        await pool.close()
        with pytest.raises(NotReadyError):
            await starting
        assert not any(map(is_running, stage.loaders()))

    run(main())


def test_a_loop_that_ends_without_a_word_leaves_no_process(stage: Stage) -> None:
    async def main() -> None:
        pool = stage.pool(2)
        await pool.start()
        asked = asyncio.create_task(scored(pool, item("hang")))
        await until(lambda: stage.tried("hang") == 1)
        assert not asked.done()

    run(main())
    assert len(stage.loaders()) == 2
    assert not any(map(is_running, stage.loaders()))


def test_batches_deaths_and_what_waits_are_counted(stage: Stage) -> None:
    async def main() -> None:
        metrics = Metrics()
        async with started(stage.pool(1, metrics)) as pool:
            asked = asyncio.create_task(scored(pool, item("die"), item("slow")))
            await asyncio.sleep(0)
            assert b"beholder_queue_items 2.0" in metrics.render()[0]
            await asked
            batches = b'beholder_batch_items_count{reward="bytes"} 1.0'
            await until(lambda: batches in metrics.render()[0])
            told = metrics.render()[0]
            assert b"beholder_queue_items 0.0" in told
            assert b"beholder_worker_deaths_total 2.0" in told

    run(main())


def test_who_leaves_while_the_work_is_handed_out_leaves_nothing_behind(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(pool: Pool) -> None:
        raise RuntimeError("no worker can take it")

    async def main() -> None:
        async with started(stage.pool()) as pool:
            with monkeypatch.context() as patched:
                patched.setattr(Pool, "_least_loaded", fail)
                with pytest.raises(RuntimeError):
                    await scored(pool, item())
            assert len(pool._queue) == 0
            assert totals(await scored(pool, item(size=3))) == [3]

    run(main())


def test_passes_are_measured_also_of_requests_that_everybody_left(stage: Stage) -> None:
    async def main() -> None:
        async with started(stage.pool()) as pool:
            with pytest.raises(DeadlineError):
                await scored(pool, *[item("gate")] * 4, timeout=0.05)
            stage.open()
            await until(lambda: pool._queue.rate.seconds_of({frozenset({"bytes"}): 1}) > 0)

    run(main())


def test_places_are_kept_only_where_rewards_compete_for_them(stage: Stage) -> None:
    (one,) = stage.settings.workers
    two = replace(one, rewards={**one.rewards, "other": ("none", {})})
    for worker, kept in [(one, 0.0), (two, 1 / 8)]:
        assert Pool(replace(stage.settings, workers=(worker,)))._queue._kept == kept
