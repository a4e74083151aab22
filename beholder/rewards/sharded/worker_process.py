"""A worker in a process of its own: takes shards from its driver, and ends when that ends.

A shard counts as begun as soon as it is handed out. If the driver dies or is interrupted, that is
no fault of the shards in hand: the worker takes their attempts back before it ends.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator

from beholder._run_folder import RunFolder, Shard
from beholder.errors import BeholderError
from beholder.rewards.sharded import attempts
from beholder.rewards.sharded.channel import (
    Broken,
    Channel,
    Fatal,
    Progress,
    Ready,
    Stop,
    of_worker,
)
from beholder.rewards.sharded.failures import told
from beholder.rewards.sharded.job import WorkerSpec
from beholder.rewards.sharded.worker import Worker
from beholder.storage import Place

PROGRAM = "from beholder.rewards.sharded.worker_process import main; main()"
"""What a driver lets Python run."""

_LAST_WORDS = 20
"""Seconds for taking attempts back."""


class Inbox:
    """Shards as they come; the process ends if the driver is gone.

    Attributes:
        in_hand: names of the shards that were taken and not reported.
    """

    def __init__(self, channel: Channel, folder: RunFolder) -> None:
        self._channel, self._folder = channel, folder
        self._shards: queue.SimpleQueue[Shard | None] = queue.SimpleQueue()
        self.in_hand: set[str] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, name="inbox", daemon=True).start()

    def wait(self) -> Shard | None:
        """The next shard, however long it takes; None if there is none any more."""
        return self._shards.get()

    def arriving(self) -> Iterator[Shard | None]:
        """Shards that are there already; None whenever there is none yet."""
        while True:
            try:
                shard = self._shards.get_nowait()
            except queue.Empty:
                yield None
                continue
            if shard is None:
                self._shards.put(None)
                return
            yield shard

    def reported(self, name: str) -> None:
        """A shard is the driver's business again."""
        with self._lock:
            self.in_hand.discard(name)

    def _listen(self) -> None:
        while isinstance(message := self._channel.receive(), Shard):
            with self._lock:
                self.in_hand.add(message.name)
            self._shards.put(message)
        if isinstance(message, Stop):
            self._shards.put(None)
        else:
            self._leave()

    def _leave(self) -> None:
        set_alarm(_LAST_WORDS)
        with self._lock:
            attempts.withdraw_all(self._folder, self.in_hand)
        os._exit(1)


def set_alarm(seconds: float) -> None:
    """Let the system end this process after so long, even if Python does not run; 0 takes it back.

    A worker whose driver is gone, and that hangs inside a library, would otherwise stay for ever.
    """
    if hasattr(signal, "alarm"):
        signal.alarm(int(seconds))


def serve(channel: Channel, spec: WorkerSpec, stall_seconds: float) -> None:
    """Score what the driver sends until it sends no more."""
    inbox = Inbox(channel, RunFolder(Place(spec.folder)))
    try:
        worker = Worker(spec)
        channel.send(Ready(worker.run))

        def tell(pictures: int) -> None:
            set_alarm(2 * stall_seconds + 60)
            channel.send(Progress(pictures))

        while (shard := inbox.wait()) is not None:
            tell(0)
            for done in worker.score_each(_and_then(shard, inbox), tell):
                inbox.reported(done.shard)
                channel.send(done)
            set_alarm(0)
    except (BeholderError, OSError) as error:
        channel.send(Fatal.of(error))
    except Exception as error:
        channel.send(Broken(told(error)))
        raise


def _and_then(shard: Shard, inbox: Inbox) -> Iterator[Shard | None]:
    yield shard
    yield from inbox.arriving()


def main() -> None:
    """The process: its first message is what to score by, and how long a batch may take."""
    for name in ("SIGINT", "SIGTERM"):  # the driver decides; without it this ends
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    channel = of_worker()
    order = channel.receive()
    if isinstance(order, tuple):
        serve(channel, *order)
    sys.stderr.flush()
