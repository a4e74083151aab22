"""What Ray makes in its processes: a worker that is handed shards and answers in bytes.

Ray starts an actor that died again and gives it the same shards, without end. So a shard is counted
before its work starts, and one that was begun before its actor died is answered as `Died` at once.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from beholder._run_folder import Run, RunFolder, Shard, is_done
from beholder.errors import BeholderError
from beholder.rewards.sharded import attempts
from beholder.rewards.sharded.channel import Fatal
from beholder.rewards.sharded.job import ShardDone, ShardFailed, WorkerSpec
from beholder.rewards.sharded.ledger import footer_of
from beholder.rewards.sharded.worker import Worker
from beholder.storage import Place

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Died:
    """A shard was in hand when its actor died; its file may have been finished just before."""

    shard: str
    why: str


Answer = ShardDone | ShardFailed | Died | Fatal


@dataclass(frozen=True, slots=True)
class Work:
    """A shard that is handed out.

    Attributes:
        tries: how often it was begun before.
        anew: whether it is scored again although its scores are there.
    """

    shard: Shard
    tries: int
    anew: bool = False


class Actor:
    """What Ray Data makes once in each of its processes: a worker that answers in bytes."""

    def __init__(self, spec: WorkerSpec, stall_seconds: float) -> None:
        self._folder = RunFolder(Place(spec.folder))
        self._watch = Watch(self._folder, stall_seconds)
        self._worker: Worker | Fatal = _made(spec)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        """Ray Data's door: groups of shards as bytes; an answer in bytes as soon as it is there."""
        import pyarrow as pa  # noqa: PLC0415

        for works in batch["works"].to_pylist():
            for answer in self.answers(pickle.loads(works)):
                yield pa.table({"answer": [pickle.dumps(answer)]})

    def answers(self, works: Sequence[Work]) -> Iterator[Answer]:
        """What became of each shard, in their order; a fault that they share ends it.

        When an actor died, Ray asks the next for the same answers and drops, by their number, those
        that it has already. So each shard has its place, and one that is done is not begun again.
        """
        if isinstance(self._worker, Fatal):
            yield self._worker
            return
        known = {work.shard.name: self._known(work, self._worker.run) for work in works}
        fresh = [work for work in works if known[work.shard.name] is None]
        with self._watch:
            try:
                scored = self._worker.score_each(self._begun(fresh), self._watch.saw)
                for work in works:
                    answer = known[work.shard.name] or next(scored)
                    self._watch.in_hand.discard(work.shard.name)
                    self._watch.rest()
                    yield answer
                    self._watch.saw(0)
            except (BeholderError, OSError) as error:
                attempts.withdraw_all(self._folder, self._watch.in_hand)
                self._watch.in_hand.clear()
                yield Fatal.of(error)

    def _begun(self, works: Iterable[Work]) -> Iterator[Shard]:
        for work in works:
            attempts.begin(self._folder, work.shard.name)
            self._watch.in_hand.add(work.shard.name)
            yield work.shard

    def _known(self, work: Work, run: Run) -> ShardDone | Died | None:
        """What an actor before this one left of a shard; None if it is to be scored."""
        name = work.shard.name
        if attempts.count(self._folder, name) > work.tries:
            return Died(name, attempts.of(self._folder, name).why)
        said = {} if work.anew else footer_of(self._folder.scores(name))
        if not is_done(said, work.shard, run.config_hash):
            return None
        return ShardDone(
            shard=name, rows=said["rows"], errors=said["errors"], seconds=0.0, footer=said
        )


def claimed(spec: WorkerSpec) -> Run | Fatal:
    """What the folder's scores are of, said by a worker that is made for this."""
    made = _made(spec)
    return made if isinstance(made, Fatal) else made.run


def _made(spec: WorkerSpec) -> Worker | Fatal:
    try:
        return Worker(spec)
    except (BeholderError, OSError) as error:
        return Fatal.of(error)


class Watch:
    """Ends the process if no batch is done for too long, or something unforeseen is raised.

    Ray Data would end the whole job on an error and wait for ever for a process that hangs; a
    process that dies it replaces.

    Attributes:
        in_hand: shards that were begun.
    """

    def __init__(self, folder: RunFolder, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds
        self.in_hand: set[str] = set()
        self._last: float | None = None
        threading.Thread(target=self._look, name="watch", daemon=True).start()

    def saw(self, pictures: int) -> None:
        """A batch is done."""
        self._last = time.monotonic()

    def rest(self) -> None:
        """What comes now is not the worker's to do, such as until Ray takes an answer."""
        self._last = None

    def __enter__(self) -> None:
        self.saw(0)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.rest()
        if isinstance(error, Exception):
            traceback.print_exception(error)
            self._die(f"its worker broke: {type(error).__name__}: {error}")

    def _look(self) -> None:
        while True:
            time.sleep(min(5.0, self._seconds / 4))
            last = self._last
            if last is not None and time.monotonic() - last > self._seconds:
                self._die(f"no batch was done for {self._seconds:g} s")

    def _die(self, why: str) -> None:
        for name in tuple(self.in_hand):
            attempts.explain(self._folder, name, why)
        sys.stderr.flush()
        os._exit(1)
