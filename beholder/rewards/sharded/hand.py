"""One worker process as its driver sees it: what it was given, and when it was last heard of."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import BinaryIO, cast

from beholder._run_folder import Shard
from beholder.rewards.sharded.channel import Channel, Stop
from beholder.rewards.sharded.job import WorkerSpec
from beholder.rewards.sharded.worker_process import PROGRAM

Events = queue.SimpleQueue["tuple[Hand, object | None]"]
"""Messages of all workers; None says that one is gone."""


_SOON = 5.0


class Hand:
    """A worker process.

    Attributes:
        in_hand: shards that it was given and has not reported, by name.
        is_ready: whether it has loaded the rewards.
        stalled: whether it was killed because it did nothing.
        last_words: why it ends, if it said so.
    """

    def __init__(self, spec: WorkerSpec, stall_seconds: float, events: Events) -> None:
        self.in_hand: dict[str, Shard] = {}
        self.is_ready = False
        self.stalled = False
        self.last_words = ""
        self._heard = time.monotonic()
        paths = os.pathsep.join(path or os.curdir for path in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
            process_group=0 if os.name == "posix" else None,  # Ctrl-C is the driver's
        )
        out = cast("BinaryIO", self._process.stdout)
        self._channel = Channel(out, cast("BinaryIO", self._process.stdin))
        self._channel.send((spec, stall_seconds))
        self._listener = threading.Thread(target=self._listen, args=(events,), daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def give(self, shard: Shard) -> None:
        """Hand over a shard."""
        if not self.in_hand:
            self._heard = time.monotonic()
        self.in_hand[shard.name] = shard
        self._channel.send(shard)  # a worker that is gone says so itself

    def silent_for(self) -> float:
        """Seconds since it was last heard of, while it has work; 0 while it has none or loads."""
        return time.monotonic() - self._heard if self.in_hand and self.is_ready else 0.0

    def heard(self) -> None:
        """Note that it lives."""
        self._heard = time.monotonic()

    def dismiss(self) -> None:
        """Let it end."""
        self._channel.send(Stop())
        self._channel.hang_up()

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def cause_of_death(self) -> str:
        """Why it is gone, once it is."""
        code = self._process.wait()
        self._close()
        if self.stalled:
            return "its worker finished no batch for too long and was killed"
        if code < 0:
            return f"its worker was killed ({signal.Signals(-code).name}, signal {-code})"
        return f"its worker ended (exit code {code}) {self.last_words}".rstrip()

    def was_killed(self) -> bool:
        """Whether a signal ended it, once it is gone."""
        return self._process.wait() < 0

    def wait(self, seconds: float) -> bool:
        """Whether it is gone within so long."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self._close()
        return True

    def _close(self) -> None:
        self._listener.join(_SOON)
        if not self._listener.is_alive():  # else a process of the worker's still holds the pipe
            self._channel.close()

    def _listen(self, events: Events) -> None:
        while (message := self._channel.receive()) is not None:
            events.put((self, message))
        events.put((self, None))
