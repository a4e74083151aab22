"""What was accepted and is not answered yet: bounded, in order, each item answered exactly once.

Nothing here knows a process. An item waits, or is in the hands of a worker; if that dies, the item
is a suspect and goes before all others, alone. Who asked may leave at any time, which makes room at
once.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from beholder.serving.items import Answer, Fault, Item
from beholder.serving.rate import Rate, Rewards
from beholder.serving.refusals import QueueFullError, RefusalError, TooLargeError

_RETRY_AFTER = (0.1, 60.0)
_UNKNOWN = 1.0  # seconds to come again after, while no rate was measured

KEPT = 1 / 8
"""Share of the places that is kept for rewards that are asked for less than others."""


@dataclass(slots=True, eq=False)
class Request:
    """Items that were asked for together.

    Attributes:
        answers: one an item, in order, None where there is none yet.
        done: all of them, or why there will be none.
        jobs: the items that a worker has to answer.
        missing: how many of them are not answered.
        has_begun: whether a worker was given one of them.
    """

    answers: list[Answer | None]
    done: asyncio.Future[list[Answer]]
    jobs: list[Job] = field(default_factory=list)
    missing: int = 0
    has_begun: bool = False


@dataclass(slots=True, eq=False)
class Job:
    """An item on its way.

    Attributes:
        id: of all jobs of a queue, no other has it.
        row: of the item in its request.
        size: bytes of its picture.
        rewards: that it is for.
        deaths: of workers that had it in their hands; a suspect has more than none.
        given: when a worker got it, by the clock of that worker.
        is_over: whether nobody waits for it: it is answered, or who asked has left.
    """

    id: int
    item: Item
    request: Request
    row: int
    size: int
    deaths: int = 0
    given: float = 0.0
    is_over: bool = False
    rewards: Rewards = field(init=False)

    def __post_init__(self) -> None:
        self.rewards = frozenset(self.item.rewards)


class Line:
    """Jobs that wait; rewards take turns, and the requests for each of them.

    A reward that is asked for rarely thus never waits behind all that another has to do, nor a
    request of one item behind one of a thousand.
    """

    def __init__(self) -> None:
        self._jobs: OrderedDict[Rewards, OrderedDict[Request, OrderedDict[int, Job]]] = (
            OrderedDict()
        )
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, job: Job) -> None:
        """Let it wait behind the others of its request, and that behind others for its rewards."""
        requests = self._jobs.setdefault(job.rewards, OrderedDict())
        requests.setdefault(job.request, OrderedDict())[job.id] = job
        self._count += 1

    def put_first(self, job: Job) -> None:
        """Let it wait before all others."""
        self.append(job)
        requests = self._jobs[job.rewards]
        requests[job.request].move_to_end(job.id, last=False)
        requests.move_to_end(job.request, last=False)
        self._jobs.move_to_end(job.rewards, last=False)

    def take(self) -> Job:
        """The next; those of its request and for its rewards are then the last to have a turn."""
        rewards, requests = next(iter(self._jobs.items()))
        request, jobs = next(iter(requests.items()))
        job = next(iter(jobs.values()))
        self._jobs.move_to_end(rewards)
        requests.move_to_end(request)
        self.remove(job)
        return job

    def remove(self, job: Job) -> None:
        """Let it wait no more, if it does."""
        requests = self._jobs.get(job.rewards, OrderedDict())
        jobs = requests.get(job.request, OrderedDict())
        if jobs.pop(job.id, None) is None:
            return
        self._count -= 1
        if not jobs:
            del requests[job.request]
        if not requests:
            del self._jobs[job.rewards]

    def jobs(self) -> list[Job]:
        """All, in no order that matters."""
        return [
            job
            for requests in self._jobs.values()
            for jobs in requests.values()
            for job in jobs.values()
        ]


class Queue:
    """Items and bytes of pictures that may be accepted and unanswered at once.

    Args:
        items: at most.
        size: of their pictures together, in bytes, at most.
        clock: in seconds.
        kept: share of both that only those rewards may use of which no more than that waits.

    Attributes:
        rate: at which items are answered.
        empty: set while nothing is unanswered.
    """

    def __init__(
        self,
        items: int,
        size: int,
        clock: Callable[[], float] = time.monotonic,
        kept: float = 0.0,
    ) -> None:
        self._most, self._most_bytes, self._kept = items, size, kept
        self._count = self._bytes = 0
        self._of: Counter[Rewards] = Counter()
        self._ids = itertools.count(1)
        self._waiting, self._suspects = Line(), Line()
        self._requests: set[Request] = set()
        self.rate = Rate(clock)
        self.empty = asyncio.Event()
        self.empty.set()

    def __len__(self) -> int:
        return self._count

    @property
    def waiting(self) -> int:
        """Items that no worker has in its hands."""
        return len(self._waiting) + len(self._suspects)

    def enter(self, items: Sequence[Item], within: float = math.inf) -> Request:
        """Accept all items or none; those without a picture are answered at once.

        Args:
            items: of one request.
            within: seconds after which their answers are of no use.

        Raises:
            QueueFullError: if there is no room now, or if what is before them, and the pass that
                they share, take longer than `within` as far as that was measured.
            TooLargeError: if there never will be room.
        """
        request = Request([None] * len(items), asyncio.get_running_loop().create_future())
        for row, item in enumerate(items):
            if isinstance(item.picture, Fault):
                request.answers[row] = Answer(faults=dict.fromkeys(item.rewards, item.picture))
            else:
                size = len(item.picture.data)
                request.jobs.append(Job(next(self._ids), item, request, row, size))
        self._check_room(request.jobs, within)
        self._accept(request)
        return request

    def take(self) -> Job:
        """The next item for a worker; a suspect must be alone there."""
        job = (self._suspects or self._waiting).take()
        job.request.has_begun = True
        return job

    @property
    def has_suspects(self) -> bool:
        """Whether the next item was in the hands of a worker that died."""
        return bool(self._suspects)

    def answer(self, job: Job, answer: Answer) -> None:
        """What became of an item; the first answer counts."""
        if job.is_over:
            return
        self.rate.done()
        request = job.request
        request.answers[job.row] = answer
        request.missing -= 1
        self._free(job)
        if request.missing == 0:
            self._finish(request)

    def put_back(self, jobs: Sequence[Job]) -> None:
        """Items that a worker never saw go before all that wait, in their order."""
        for job in reversed(jobs):
            line = self._suspects if job.deaths else self._waiting
            if not job.is_over:
                line.put_first(job)

    def suspect(self, job: Job) -> None:
        """An item whose worker died is tried again, alone."""
        if not job.is_over:
            self._suspects.append(job)

    def begun(self) -> list[Job]:
        """Take what waits of requests of which a worker had something; no suspects."""
        begun = [job for job in self._waiting.jobs() if job.request.has_begun]
        for job in begun:
            self._waiting.remove(job)
        return begun

    def leave(self, request: Request) -> list[Job]:
        """Nobody waits for the answers any more; gives the jobs that are not answered."""
        left = [job for job in request.jobs if not job.is_over]
        for job in left:
            self._waiting.remove(job)
            self._suspects.remove(job)
            self._free(job)
        self._requests.discard(request)
        return left

    def close(self, error: RefusalError) -> None:
        """Answer every request with an error."""
        for request in list(self._requests):
            self.leave(request)
            if not request.done.done():
                request.done.set_exception(error)

    def _check_room(self, jobs: Sequence[Job], within: float) -> None:
        count, size = len(jobs), sum(job.size for job in jobs)
        share = 1 - self._kept
        if count > share * self._most or size > share * self._most_bytes:
            raise TooLargeError(
                f"{count} pictures of {size} bytes; at most {int(share * self._most)} of together "
                f"{int(share * self._most_bytes)} are taken at once, ask for fewer"
            )
        over = self._items_over(count, size, self._share(jobs))
        late = self._seconds_before(jobs) - within
        if over > 0 or late > 0:
            wait = max(late, self.rate.seconds(over) or (_UNKNOWN if over > 0 else 0.0))
            least, most = _RETRY_AFTER
            raise QueueFullError(
                f"{self._count} pictures wait already; come again later",
                retry_after=min(most, max(least, wait)),
            )

    def _share(self, jobs: Sequence[Job]) -> float:
        """Of the places, that these may use."""
        new = Counter(job.rewards for job in jobs)
        are_few = all(self._of[r] + k <= self._kept * self._most for r, k in new.items())
        return 1.0 if are_few else 1 - self._kept

    def _seconds_before(self, jobs: Sequence[Job]) -> float:
        """Until the first pass that these are in has ended, 0 if nothing is before them.

        All that waits for the same rewards is before them; of what waits for others as much, for
        rewards take turns.
        """
        longest = 0.0
        for rewards in {job.rewards for job in jobs}:
            if mine := self._of[rewards]:
                before = {other: min(count, mine) for other, count in self._of.items()}
                answered = self.rate.seconds(sum(before.values())) or 0.0
                passed = self.rate.seconds_of(before) + self.rate.seconds_of_pass(rewards)
                longest = max(longest, answered, passed)
        return longest

    def _items_over(self, count: int, size: int, share: float) -> float:
        """Items that must be answered before so many more have room in a share of it."""
        over_bytes = self._bytes + size - share * self._most_bytes
        of_bytes = over_bytes * self._count / self._bytes if self._bytes else 0.0
        return max(self._count + count - share * self._most, of_bytes)

    def _accept(self, request: Request) -> None:
        request.missing = len(request.jobs)
        if not request.jobs:
            self._finish(request)
            return
        if self._count == 0:
            self.rate.begin()
            self.empty.clear()
        self._count += len(request.jobs)
        self._bytes += sum(job.size for job in request.jobs)
        self._of.update(job.rewards for job in request.jobs)
        for job in request.jobs:
            self._waiting.append(job)
        self._requests.add(request)

    def _free(self, job: Job) -> None:
        job.is_over = True
        self._count -= 1
        self._bytes -= job.size
        self._of[job.rewards] -= 1
        if not self._of[job.rewards]:
            del self._of[job.rewards]
        if self._count == 0:
            self.empty.set()

    def _finish(self, request: Request) -> None:
        self._requests.discard(request)
        if not request.done.done():
            request.done.set_result([a for a in request.answers if a is not None])
