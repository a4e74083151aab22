"""What scores: a queue in the front, and worker processes that are given what they can hold.

What waits is here, so that who asked may leave and any worker may take it; a worker holds only what
it needs to compute without a pause. A worker that dies takes nothing with it: what it never saw
waits on, what it had in hand is tried again alone, so that one picture that kills a process brings
down nobody else's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from beholder.errors import BeholderError
from beholder.serving.crew import Crew, Told
from beholder.serving.items import Answer, Backend, Fault, Item, RewardInfo
from beholder.serving.link import Answered, Batch
from beholder.serving.poison import Poison
from beholder.serving.queueing import KEPT, Job, Queue
from beholder.serving.refusals import DeadlineError, NotReadyError
from beholder.serving.settings import PoolSettings
from beholder.serving.worker import Worker

if TYPE_CHECKING:
    from beholder.serving.metrics import Metrics

_LOG = logging.getLogger(__name__)

_LOADING = "the rewards are loading"
_RESTARTING = "the worker processes ended and new ones are loading"
_DRAINING = "the server is about to end"


class Pool(Backend):
    """Worker processes; `start` comes first and `close` last, both in the loop of the server."""

    def __init__(self, settings: PoolSettings, metrics: Metrics | None = None) -> None:
        self._settings, self._metrics = settings, metrics
        serves_many = any(len(worker.rewards) > 1 for worker in settings.workers)
        kept = KEPT if serves_many else 0.0
        self._queue = Queue(settings.queue, settings.queue_bytes, kept=kept)
        self._poison = Poison()
        told = Told(self._heard, self._stands, self._lost, self._reload_soon)
        self._crew = Crew(settings, told)
        self._closed_for = _LOADING
        self._reloading = asyncio.Lock()
        if metrics is not None:
            metrics.depth(lambda: len(self._queue))

    @property
    @override
    def rewards(self) -> Mapping[str, RewardInfo]:
        return self._crew.rewards

    @property
    @override
    def unready(self) -> str:
        if self._closed_for or any(worker.is_up for worker in self._crew.standing.values()):
            return self._closed_for
        return _RESTARTING

    def pids(self) -> list[int]:
        """Of the worker processes that stand, in the order of their settings."""
        return [worker.pid for _, worker in sorted(self._crew.standing.items())]

    async def start(self) -> None:
        """Start every worker, until all are warm.

        Raises ConfigError, WeightsError, MissingDependencyError or DataError if one cannot load the
        rewards; none is then left.
        """
        self._crew.switch(await self._crew.load_all())
        self._crew.keep(self._crew.watch())
        if self._closed_for == _LOADING:
            self._closed_for = ""

    @override
    async def score(self, items: Sequence[Item], *, timeout: float) -> list[Answer]:
        if why := self.unready:
            raise NotReadyError(f"{why}; come again later", retry_after=self._crew.load_seconds)
        request = self._queue.enter([self._poison.refused(item) for item in items], timeout)
        try:
            self._hand_out()
            async with asyncio.timeout(timeout):
                return await request.done
        except TimeoutError as error:
            raise DeadlineError(
                f"{request.missing} of {len(items)} pictures had no score after {timeout:g} "
                "seconds; ask for fewer at once, or later"
            ) from error
        finally:
            self._withdraw(self._queue.leave(request))

    @override
    async def reload(self) -> None:
        async with self._reloading:
            if self._closed_for:
                raise NotReadyError(self._closed_for, retry_after=self._crew.load_seconds)
            workers = await self._crew.load_all()
            self._finish_begun()
            self._crew.switch(workers)
            self._poison.forget()
            _LOG.info("%d workers go on with weights that were loaded anew", len(workers))

    async def drain(self, seconds: float) -> int:
        """Accept nothing more, and answer what was accepted; gives how many items were not."""
        self._closed_for = _DRAINING
        try:
            async with asyncio.timeout(seconds):
                await self._queue.empty.wait()
        except TimeoutError:
            _LOG.error("%d pictures were not answered in time", len(self._queue))
        return len(self._queue)

    async def close(self) -> None:
        """End every process; what is not answered is refused."""
        self._closed_for = _DRAINING
        self._queue.close(NotReadyError(_DRAINING, retry_after=self._crew.load_seconds))
        await self._crew.close()

    def _hand_out(self) -> None:
        """Give what waits to those who have least in hand."""
        while self._queue.waiting and (worker := self._least_loaded()) is not None:
            worker.give(self._queue.take())

    def _least_loaded(self) -> Worker | None:
        """Who may have the next item, if anybody: a suspect must be alone with its worker."""
        workers = [w for w in self._crew.standing.values() if w.has_room()]
        if self._queue.has_suspects:
            workers = [worker for worker in workers if not worker.in_hand]
        return min(workers, key=_load, default=None)

    def _finish_begun(self) -> None:
        """A request that has begun ends with the weights that it began with."""
        workers = [worker for worker in self._crew.standing.values() if worker.is_healthy]
        if workers:
            for job in self._queue.begun():
                min(workers, key=_load).give(job)

    def _withdraw(self, left: Sequence[Job]) -> None:
        """Free the workers of what nobody waits for."""
        for worker in self._crew.alive if left else ():
            for job in left:
                worker.drop(job)
        if left:
            self._hand_out()

    def _heard(self, worker: Worker, message: Answered | Batch, job: Job | None) -> None:
        if isinstance(message, Answered) and job is not None:
            self._queue.answer(job, message.answer)
            self._hand_out()
        elif isinstance(message, Batch):
            self._queue.rate.passed(message.reward, message.size, message.seconds)
            if self._metrics is not None:
                self._metrics.batch(message.reward, message.size, message.seconds, message.waited)

    def _stands(self) -> None:
        self._queue.rate.workers = len(self._crew.standing)
        if len(self._crew.standing) == 1:
            self._queue.rate.begin()
        self._hand_out()

    def _lost(self, worker: Worker) -> None:
        """Give what a dead worker had in hand to others, or up."""
        if self._metrics is not None:
            self._metrics.worker_died()
        unsent = worker.unsent()
        seen = worker.in_hand.keys() - {job.id for job in unsent}
        self._queue.put_back(unsent)
        self._queue.rate.workers = max(1, len(self._crew.standing))
        for job in [job for job in worker.in_hand.values() if job.id in seen]:
            self._try_again(job, was_alone=len(seen) == 1)
        worker.in_hand.clear()
        self._hand_out()

    def _try_again(self, job: Job, *, was_alone: bool) -> None:
        job.deaths += 1
        if job.deaths < self._settings.attempts:
            self._queue.suspect(job)
            return
        if was_alone:
            self._poison.remember(job.item)
        said = f"a worker process died with this picture in hand, {job.deaths} times"
        faults = dict.fromkeys(job.item.rewards, Fault("worker-died", said))
        self._queue.answer(job, Answer(faults=faults))

    def _reload_soon(self) -> None:
        if not self._reloading.locked():
            self._crew.keep(self._reload_quietly())

    async def _reload_quietly(self) -> None:
        try:
            await self.reload()
        except BeholderError as error:
            _LOG.error("the old weights stay: %s", error)


def _load(worker: Worker) -> int:
    return len(worker.in_hand)
