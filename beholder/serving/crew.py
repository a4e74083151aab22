"""The worker processes of a pool, kept up: loaded together, replaced when they die, loaded anew."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass

from beholder.errors import BeholderError, WeightsError
from beholder.serving.items import RewardInfo
from beholder.serving.refusals import NotReadyError
from beholder.serving.settings import PoolSettings
from beholder.serving.worker import Heard, Worker

_LOG = logging.getLogger(__name__)

MOST_UNBORN = 3
"""If so many processes are killed one after another while they load, none will ever stand."""

FIRST_PAUSE = 0.5
"""Seconds before a worker that died is replaced; twice as long each time that brings nothing."""

_LONGEST_PAUSE = 30.0
_STOOD = 60.0  # seconds after which the end of a worker does not count as a failure to start
_FAREWELL = 3.0  # seconds for an idle worker to end by itself
_AWAY = 5.0  # seconds in which the front itself heard nobody
_SOON = 5.0  # that loading takes, before it was measured


@dataclass(frozen=True, slots=True)
class Told:
    """What is called when something happens to a worker.

    Attributes:
        heard: a worker answered, or ended a batch.
        stands: there is one more that may be given jobs.
        lost: one died; what it has in hand is to be done by others.
        differs: one in place of another has loaded other weights than those that are served.
    """

    heard: Heard
    stands: Callable[[], None]
    lost: Callable[[Worker], None]
    differs: Callable[[], None]


class Crew:
    """A worker for each place.

    Attributes:
        standing: place -> its worker, which may be given jobs.
        alive: these, and those that load or end.
        rewards: what they serve, by name.
        load_seconds: that the last worker took to load.
    """

    def __init__(self, settings: PoolSettings, told: Told) -> None:
        self._settings, self._told = settings, told
        self.standing: dict[int, Worker] = {}
        self.alive: set[Worker] = set()
        self.rewards: Mapping[str, RewardInfo] = {}
        self.load_seconds = _SOON
        self._served: tuple[RewardInfo, ...] = ()
        self._failures = [0] * len(settings.workers)
        self._replacing: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._calm = asyncio.Event()
        self._calm.set()

    def keep(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run something beside, until it ends or the crew does."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def load_all(self) -> list[Worker]:
        """A warm worker for each place, beside those that stand.

        Replacements wait meanwhile: a device has memory for two workers, not for three. Only one
        task at a time may be here.

        Raises ConfigError, WeightsError, MissingDependencyError or DataError if one cannot load;
        none of them is then left.
        """
        places = range(len(self._settings.workers))
        loading = [asyncio.create_task(self._load_in_spite(place)) for place in places]
        self._calm.clear()
        try:
            return _alike(await asyncio.gather(*loading))
        except BaseException:
            await self._undo(loading)
            raise
        finally:
            self._calm.set()

    def switch(self, workers: Sequence[Worker]) -> None:
        """Put them in the places; those that stood answer what they have in hand, then end.

        Raises NotReadyError if the crew is closed.
        """
        self._check_open()
        for task in self._replacing.values():
            task.cancel()
        retired = list(self.standing.values())
        for place, worker in enumerate(workers):
            self._stand(place, worker)
        for worker in retired:
            self.keep(worker.retire(_FAREWELL))
        self._told.stands()

    async def watch(self) -> None:
        """Kill who says nothing; of a time when the front itself was away nobody is accused."""
        most = self._settings.stall_seconds
        tick = min(1.0, most / 4)
        while True:
            began = time.monotonic()
            await asyncio.sleep(tick)
            was_away = time.monotonic() - began > tick + _AWAY
            for worker in self.alive:
                if was_away:
                    worker.excuse()
                elif worker.silent_for() > most:
                    worker.kill(f"it answered nothing for {most:g} seconds and was killed")

    async def close(self) -> None:
        """End every process; this takes seconds at most."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.standing.clear()
        await asyncio.gather(*map(self._end, self.alive))

    async def _load_in_spite(self, place: int) -> Worker:
        """Load, once more if the process is killed meanwhile."""
        for _ in range(MOST_UNBORN - 1):
            worker = self._new(place)
            try:
                return await self._load(worker)
            except BeholderError as error:
                if not worker.was_killed:
                    raise
                _LOG.warning("%s; it is started again", error)
        return await self._load(self._new(place))

    def _new(self, place: int) -> Worker:
        return Worker(self._settings.workers[place], self._told.heard)

    async def _load(self, worker: Worker) -> Worker:
        self._check_open()
        began = time.monotonic()
        self.alive.add(worker)
        try:
            await worker.load()
        except BaseException as error:
            self.alive.discard(worker)
            if isinstance(error, BeholderError):
                self._check_open()  # it did not fail to load, it was ended
            raise
        self.load_seconds = time.monotonic() - began
        return worker

    async def _undo(self, loading: Sequence[asyncio.Task[Worker]]) -> None:
        for task in loading:
            task.cancel()
        for result in await asyncio.gather(*loading, return_exceptions=True):
            if isinstance(result, Worker):
                await self._end(result)

    async def _end(self, worker: Worker) -> None:
        if worker.in_hand or not worker.is_up:
            worker.kill("it was not needed any more")
        try:
            await worker.end(_FAREWELL)
        finally:
            self.alive.discard(worker)

    def _stand(self, place: int, worker: Worker) -> None:
        self._served = worker.rewards
        self.rewards = {info.name: info for info in worker.rewards}
        self.standing[place] = worker
        self.keep(self._attend(place, worker))

    async def _attend(self, place: int, worker: Worker) -> None:
        """See a worker to its end, and to its replacement if nobody else did."""
        began = time.monotonic()
        await worker.gone()
        self.alive.discard(worker)
        is_missed = self.standing.get(place) is worker
        if is_missed:
            del self.standing[place]
            if worker.has_answered or time.monotonic() - began > _STOOD:
                self._failures[place] = 0
            self._replacing[place] = self.keep(self._replace(place))
        if is_missed or worker.in_hand:
            _LOG.error("worker %d: %s", worker.pid, worker.cause)
            self._told.lost(worker)

    async def _replace(self, place: int) -> None:
        """Put a worker in an empty place, after a pause, however often it takes."""
        while True:
            await asyncio.sleep(self._pause(place))
            await self._calm.wait()
            try:
                worker = await self._load(self._new(place))
            except BeholderError as error:
                _LOG.error("a worker cannot be replaced yet: %s", error)
                continue
            if worker.rewards == self._served or not self.standing:
                self._stand(place, worker)
                self._told.stands()
                return
            await self._end(worker)
            _LOG.warning("the weights are others than those that are served")
            self._told.differs()

    def _pause(self, place: int) -> float:
        pause = min(_LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(10, self._failures[place]))
        self._failures[place] += 1
        return pause

    def _check_open(self) -> None:
        if self._is_closed:
            raise NotReadyError("the server has ended")

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("the server goes on without a task that failed", exc_info=task.exception())


def _alike(workers: list[Worker]) -> list[Worker]:
    """The same, if all have loaded the same."""
    if any(worker.rewards != workers[0].rewards for worker in workers):
        raise WeightsError("the weights changed while they were loaded; load them again")
    return workers
