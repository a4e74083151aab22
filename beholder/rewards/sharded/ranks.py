"""The engine "ranks": each process that torchrun or SLURM starts does its own part of the plan.

Shard k belongs to rank k modulo world; ranks never speak with each other, so that any number of
them may start, die and be launched again. Under SLURM the tasks of an array and the processes of a
task count together. A shard that kills its rank is counted before, and left out after three times.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType

import torch

from beholder._run_folder import Shard
from beholder.errors import BeholderError, ConfigError
from beholder.rewards.sharded import attempts
from beholder.rewards.sharded.failures import told
from beholder.rewards.sharded.job import Job, ShardDone, ShardFailed
from beholder.rewards.sharded.worker import Worker

_NO_FAULT = (SystemExit, KeyboardInterrupt, BeholderError, OSError)
"""What ends a rank through no fault of the shards in hand, such as an order or a full disk."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Which process this is: number `rank` of `world`, and `local` on its machine."""

    rank: int
    world: int
    local: int = 0


def run(job: Job) -> None:
    """Score this rank's part of a job, in this process.

    Raises:
        ConfigError: if neither torchrun nor SLURM started this process, and as `Worker` does.
        DataError: if the source cannot be planned, or every shard fails alike.
    """
    me = rank_of(os.environ)
    worker = Worker(replace(job.spec, device=_device(job.spec.device, me.local)))
    part = _Part(job, deque(job.open(worker.run, (me.rank, me.world))))
    with _terminable():
        try:
            while part.left:
                for done in worker.score_each(part.taken(), job.progress):
                    part.report(done)
        except _NO_FAULT:
            attempts.withdraw_all(job.folder, part.in_hand)
            raise
        except Exception as error:
            for name in part.in_hand:
                attempts.explain(job.folder, name, f"its rank broke: {told(error)}")
            raise


def rank_of(environment: Mapping[str, str]) -> Rank:
    """The rank that torchrun's or SLURM's variables name.

    Raises ConfigError if there are none, or the array of SLURM has gaps.
    """

    def number(name: str, otherwise: int) -> int:
        text = environment.get(name, str(otherwise))
        if not text.isdecimal():
            raise ConfigError(f"{name} is {text!r}, expected a number")
        return int(text)

    if "RANK" in environment and "WORLD_SIZE" in environment:
        found = Rank(number("RANK", 0), number("WORLD_SIZE", 1), number("LOCAL_RANK", 0))
        if found.rank >= found.world:
            raise ConfigError(
                f"RANK is {found.rank}, but WORLD_SIZE {found.world}; expected 0 to "
                f"{found.world - 1}"
            )
        return found
    if not {"SLURM_ARRAY_TASK_ID", "SLURM_PROCID"} & environment.keys():
        raise ConfigError(
            "--engine ranks is for processes that torchrun or SLURM starts; they set RANK and "
            "WORLD_SIZE, or SLURM_ARRAY_TASK_ID or SLURM_PROCID"
        )
    first = number("SLURM_ARRAY_TASK_MIN", 0)
    task, tasks = number("SLURM_ARRAY_TASK_ID", first) - first, number("SLURM_ARRAY_TASK_COUNT", 1)
    if not 0 <= task < tasks:
        raise ConfigError(
            f"task {task + first} of a SLURM array of {tasks} that begins at {first}: the array "
            "has gaps, and their shards would be left out; give one such as --array=0-15"
        )
    processes = number("SLURM_NTASKS", 1)
    rank = task * processes + number("SLURM_PROCID", 0)
    return Rank(rank, tasks * processes, number("SLURM_LOCALID", 0))


@dataclass(slots=True)
class _Part:
    """The shards of this rank."""

    job: Job
    left: deque[Shard]
    in_hand: dict[str, Shard] = field(default_factory=dict)

    def taken(self) -> Iterator[Shard]:
        """Shards, each counted as begun when it is taken; one that was begun before comes alone."""
        while self.left:
            is_suspect = self.left[0].name in self.job.suspects
            if is_suspect and self.in_hand:
                return
            shard = self.left.popleft()
            attempts.begin(self.job.folder, shard.name)
            self.in_hand[shard.name] = shard
            yield shard
            if is_suspect:
                return

    def report(self, done: ShardDone | ShardFailed) -> None:
        """A shard was finished, or could not be."""
        shard = self.in_hand.pop(done.shard)
        if isinstance(done, ShardDone):
            self.job.done(done)
        elif self.job.failed(done.shard, done.why, kind=done.kind):
            self.left.append(shard)


def _device(device: str | None, local: int) -> str | None:
    if device != "cuda":
        return device
    return f"cuda:{local % max(1, torch.cuda.device_count())}"


@contextmanager
def _terminable() -> Iterator[None]:
    """End in good order when SIGTERM comes, as before a preemption."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
