"""Workers are kept up: pauses that grow, loads that are all or nothing, ends that never wait."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from beholder.errors import WeightsError
from beholder.serving import crew as crew_module
from beholder.serving.crew import Crew, Told
from beholder.serving.refusals import NotReadyError
from beholder.serving.worker import Worker
from tests.serving.pools import Stage, is_running, run, staged, until


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return staged(tmp_path, monkeypatch)


class Owner:
    """Counts what a crew tells."""

    def __init__(self, stage: Stage, workers: int) -> None:
        self.lost: list[Worker] = []
        self.stood = self.differed = 0
        told = Told(lambda *said: None, self._stands, self.lost.append, self._differs)
        settings = stage.pool(workers)._settings
        self.crew = Crew(settings, told)

    def _stands(self) -> None:
        self.stood += 1

    def _differs(self) -> None:
        self.differed += 1


@asynccontextmanager
async def owning(stage: Stage, workers: int = 1) -> AsyncIterator[Owner]:
    owner = Owner(stage, workers)
    try:
        owner.crew.switch(await owner.crew.load_all())
        yield owner
    finally:
        await owner.crew.close()


def test_pauses_double_up_to_half_a_minute_and_begin_anew_after_success(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew_module, "FIRST_PAUSE", 0.5)
    crew = Owner(stage, 2).crew
    assert [crew._pause(1) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert crew._pause(0) == 0.5


def test_a_dead_worker_is_missed_once_and_replaced(stage: Stage) -> None:
    async def main() -> None:
        async with owning(stage, 2) as owner:
            dead, other = (owner.crew.standing[place] for place in (0, 1))
            os.kill(dead.pid, signal.SIGKILL)
            await until(lambda: owner.stood == 2)
            assert owner.lost == [dead]
            assert dead.cause == "it was killed (SIGKILL, signal 9)"
            assert owner.crew.standing[1] is other
            assert owner.crew.standing[0].is_up
            assert owner.crew.alive == set(owner.crew.standing.values())
        assert owner.crew.alive == set()

    run(main())


def test_one_that_loads_other_weights_does_not_stand_beside_the_old(stage: Stage) -> None:
    async def main() -> None:
        async with owning(stage, 2) as owner:
            stage.put("2")
            os.kill(owner.crew.standing[0].pid, signal.SIGKILL)
            await until(lambda: owner.differed == 2)  # it is tried again
            assert list(owner.crew.standing) == [1]
            assert owner.crew.rewards["bytes"].identity == {"weights": "1"}

    run(main())


def test_weights_that_change_while_they_are_loaded_are_not_served(stage: Stage) -> None:
    async def main() -> None:
        async with owning(stage, 2) as owner:
            stage.put("changing")
            with pytest.raises(WeightsError, match="changed while they were loaded"):
                await owner.crew.load_all()
            await until(lambda: len(owner.crew.alive) == 2)
            assert sum(map(is_running, stage.loaders())) == 2

    run(main())


def test_a_process_that_is_killed_while_it_loads_is_started_again(stage: Stage) -> None:
    async def main() -> None:
        async with owning(stage) as owner:
            stage.put("slow")
            loading = asyncio.create_task(owner.crew.load_all())
            await until(lambda: stage.loads() == 2)
            stage.put("2")
            os.kill(stage.loaders()[1], signal.SIGKILL)
            owner.crew.switch(await loading)
            assert owner.crew.rewards["bytes"].identity == {"weights": "2"}
            assert stage.loads() == 3

    run(main())


def test_a_switch_retires_the_old_and_gives_up_replacements(stage: Stage) -> None:
    async def main() -> None:
        async with owning(stage, 2) as owner:
            stage.put("slow")
            old = dict(owner.crew.standing)
            os.kill(old[0].pid, signal.SIGKILL)
            await until(lambda: stage.loads() == 3)
            stage.put("2")
            owner.crew.switch(await owner.crew.load_all())
            assert [worker.is_up for worker in owner.crew.standing.values()] == [True, True]
            await until(lambda: not old[1].is_up)
            await until(lambda: sum(map(is_running, stage.loaders())) == 2)
            assert owner.lost == [old[0]]

    run(main())


def test_a_closed_crew_starts_nothing_and_was_closed_soon(stage: Stage) -> None:
    async def main() -> None:
        async with owning(stage, 2) as owner:
            stage.put("slow")
            loading = asyncio.create_task(owner.crew.load_all())
            await until(lambda: stage.loads() == 4)
            began = time.monotonic()
            await owner.crew.close()
            assert time.monotonic() - began < 10
            for late in (loading, owner.crew.load_all()):
                with pytest.raises(NotReadyError):
                    await late
            with pytest.raises(NotReadyError):
                owner.crew.switch([])
            assert not any(map(is_running, stage.loaders()))

    run(main())


def test_a_replacement_waits_while_all_are_loaded_anew(stage: Stage) -> None:
    async def main() -> None:
        async with owning(stage, 2) as owner:
            stage.put("slow")
            loading = asyncio.create_task(owner.crew.load_all())
            await until(lambda: stage.loads() == 4)
            os.kill(owner.crew.standing[0].pid, signal.SIGKILL)
            await until(lambda: owner.crew._failures[0] > 0)
            await asyncio.sleep(0.3)  # many times the pause before a replacement
            assert stage.loads() == 4
            stage.put("1")
            loading.cancel()
            await asyncio.wait({loading})
            await until(lambda: len(owner.crew.standing) == 2)
            assert stage.loads() == 5

    run(main())


def test_what_is_ended_on_purpose_is_not_said_to_be_started_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with owning(stage) as owner:
            stage.put("slow")
            loading = asyncio.create_task(owner.crew.load_all())
            await until(lambda: stage.loads() == 2)
            await owner.crew.close()
            with pytest.raises(NotReadyError):
                await loading

    run(main())
    assert "started again" not in caplog.text
