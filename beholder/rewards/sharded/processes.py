"""The engine "processes": worker processes on this machine, one a GPU or a CPU core.

The driver reads and scores nothing. It hands out names of shards, two to each worker so that none
waits, puts a new worker in the place of one that died, and gives a shard up that was begun three
times. A shard that was in hand when its worker died is tried again alone: it may be the cause.
"""

from __future__ import annotations

import os
import queue
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

import torch

from beholder._run_folder import Shard
from beholder.errors import DataError
from beholder.rewards.sharded import attempts
from beholder.rewards.sharded.channel import Broken, Fatal, Progress, Ready
from beholder.rewards.sharded.claim import only_driver
from beholder.rewards.sharded.hand import Events, Hand
from beholder.rewards.sharded.job import Job, ShardDone, ShardFailed, WorkerSpec

MOST_UNBORN = 3
"""If so many workers are killed one after another while they load, none will ever stand."""

_TICK = 1.0
_PAUSE = 10.0  # seconds in which the driver itself heard nobody
_FAREWELL = 30.0


def run(job: Job) -> None:
    """Score what is left of a job.

    Raises:
        ConfigError, WeightsError, MissingDependencyError: as the first worker does.
        DataError: if the source cannot be planned, another process writes the folder, or every
            shard fails alike.
    """
    with only_driver(job.folder):
        _Driver(job).run()


def worker_count(device: str | None) -> int:
    """Workers if nobody says how many: one a GPU, or one a CPU core."""
    if torch.device(device or "cpu").type == "cuda":
        return max(1, torch.cuda.device_count())
    return os.cpu_count() or 1


def device_of(device: str | None, number: int) -> str | None:
    """Where worker `number` computes: "cuda" is spread over the GPUs."""
    if device != "cuda":
        return device
    return f"cuda:{number % max(1, torch.cuda.device_count())}"


class _Driver:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._count = job.workers or worker_count(job.spec.device)
        self._events: Events = queue.SimpleQueue()
        self._hands: dict[int, Hand] = {}
        self._queue: deque[Shard] = deque()
        self._planned = False
        self._looked = time.monotonic()
        self._unborn = 0  # that died one after another while they loaded

    def run(self) -> None:
        """Until every shard is done or given up; whatever ends it, no worker is left behind."""
        try:
            self._start(0)
            self._job.foresee()
            while not self._planned or self._queue or self._busy():
                self._serve()
            self._dismiss()
        finally:
            self._end()

    def _serve(self) -> None:
        self._hear()
        self._judge()
        self._hand_out()

    def _hear(self) -> None:
        """Heed every message that is there, after waiting for one."""
        wait: float | None = _TICK
        while True:
            try:
                hand, message = (
                    self._events.get(timeout=wait) if wait else self._events.get_nowait()
                )
            except queue.Empty:
                return
            self._heed(hand, message)
            wait = None

    def _judge(self) -> None:
        """Kill who does nothing; of a time when the driver itself was away nobody is accused."""
        was_away = time.monotonic() - self._looked > _PAUSE
        self._looked = time.monotonic()
        for hand in self._hands.values():
            if was_away:
                hand.heard()
            elif hand.silent_for() > self._job.stall_seconds:
                hand.stalled = True
                hand.kill()

    def _heed(self, hand: Hand, message: object | None) -> None:
        hand.heard()
        if isinstance(message, Progress):
            self._job.progress(message.pictures)
        elif isinstance(message, Ready):
            self._ready(hand, message)
        elif isinstance(message, ShardDone):
            hand.in_hand.pop(message.shard)
            self._job.done(message)
        elif isinstance(message, ShardFailed):
            shard = hand.in_hand.pop(message.shard)
            self._again(shard, self._job.failed(shard.name, message.why, kind=message.kind))
        elif isinstance(message, Broken):
            hand.last_words = message.why
        elif isinstance(message, Fatal):
            raise message.kind(message.text)
        elif message is None:
            self._died(hand)

    def _ready(self, hand: Hand, message: Ready) -> None:
        hand.is_ready = True
        self._unborn = 0
        if self._planned:
            return
        self._queue.extend(self._job.open(message.run))
        self._planned = True
        for number in range(1, min(self._count, len(self._queue))):
            self._start(number)

    def _died(self, hand: Hand) -> None:
        why = hand.cause_of_death()
        number = next(n for n, other in self._hands.items() if other is hand)
        del self._hands[number]
        if not hand.is_ready:
            self._unborn += 1
            if self._unborn >= MOST_UNBORN or not hand.was_killed():
                raise DataError(f"a worker could not load the rewards: {why}")
            self._start(number)
            return
        self._job.died(why)
        for shard in hand.in_hand.values():
            if not self._job.found(shard):
                self._again(shard, self._job.failed(shard.name, why, alike=False))
        if self._queue:
            self._start(number)

    def _again(self, shard: Shard, is_due: bool) -> None:
        if is_due:
            self._queue.append(shard)

    def _hand_out(self) -> None:
        ready = [hand for hand in self._hands.values() if hand.is_ready and not hand.stalled]
        for hand in ready:
            if self._queue and not hand.in_hand:
                self._give(hand)
        for hand in ready:
            if len(self._queue) >= self._count and self._may_have_another(hand):
                self._give(hand)

    def _may_have_another(self, hand: Hand) -> bool:
        names = {*hand.in_hand, self._queue[0].name}
        return len(hand.in_hand) == 1 and not names & self._job.suspects

    def _give(self, hand: Hand) -> None:
        shard = self._queue.popleft()
        attempts.begin(self._job.folder, shard.name)
        hand.give(shard)

    def _start(self, number: int) -> None:
        spec = self._spec(number)
        self._hands[number] = Hand(spec, self._job.stall_seconds, self._events)

    def _spec(self, number: int) -> WorkerSpec:
        spec = self._job.spec
        share = max(1, min(16, (os.cpu_count() or 1) // self._count))
        return replace(spec, device=device_of(spec.device, number), decoders=spec.decoders or share)

    def _busy(self) -> bool:
        return any(hand.in_hand for hand in self._hands.values())

    def _dismiss(self) -> None:
        for hand in self._hands.values():
            hand.dismiss()
        for hand in self._hands.values():
            hand.wait(_FAREWELL)

    def _end(self) -> None:
        hands: Iterable[Hand] = self._hands.values()
        for hand in hands:
            hand.kill()
        for hand in hands:
            hand.wait(_FAREWELL)
            attempts.withdraw_all(self._job.folder, hand.in_hand)
