"""Servers as people start them, in processes of their own, of which nothing stays afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks._memory import resident
from benchmarks._ports import free_port
from benchmarks._scale_runs import await_end, command, descendants

CLIP, GPU = "benchmarks._serving_rewards:clip", "benchmarks._serving_rewards:Gpu"
READY_SECONDS = 180.0
FAREWELL_SECONDS = 60.0
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
}


@dataclass(frozen=True)
class Start:
    """How a server is started.

    Attributes:
        arguments: its command line, without the port.
        readiness: path that answers 200 once it can score; "" asks for a score.
    """

    arguments: Sequence[str]
    readiness: str = ""


@dataclass
class Server:
    """A server that answers.

    Attributes:
        url: where it is asked for scores.
        log: what it says.
    """

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    below: list[int] = field(default_factory=list)

    def workers(self) -> list[int]:
        """Processes of ours that hold a model."""
        below = descendants(self.process.pid)
        return [pid for pid in below if "worker_process" in command(pid)]

    def resident(self) -> tuple[float, float]:
        """Memory of the first process and of all below it, in MiB."""
        below = sum(map(resident, descendants(self.process.pid)))
        return resident(self.process.pid), below

    def stop(self) -> float:
        """Ask it to end; seconds that it took."""
        self.below = descendants(self.process.pid)
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(FAREWELL_SECONDS)
        return time.monotonic() - start

    def end(self) -> None:
        """Leave no process of it."""
        self.below += descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(FAREWELL_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        await_end(self.below, seconds=5.0)


def own(reward: str, *options: str) -> Start:
    """`beholder serve`."""
    arguments = ["-m", "beholder", "serve", "-r", f"it={reward}", *options]
    return Start([sys.executable, *arguments], readiness="/readyz")


def plain(reward: str) -> Start:
    """One request at a time, as one writes it in twenty lines."""
    return Start([sys.executable, "-m", "benchmarks._serving_plain", reward])


def litserve(python: Path, reward: str, batch: int) -> Start:
    """LitServe, with its own batching above a batch of one."""
    return Start([str(python), "-m", "benchmarks._serving_litserve", reward, str(batch)])


def ray_serve(python: Path, reward: str, batch: int) -> Start:
    """Ray Serve, with its own batching above a batch of one."""
    return Start([str(python), "-m", "benchmarks._serving_ray", reward, str(batch)])


@contextmanager
def served(start: Start, folder: Path, first: bytes) -> Iterator[Server]:
    """A server that has answered; `first` is a body that it is asked if it tells of no readiness.

    Raises SystemExit with its last words if it does not get so far.
    """
    port = free_port()
    log = folder / f"server-{port}.log"
    with log.open("wb") as words:
        process = subprocess.Popen(
            [*start.arguments, "--port", str(port)],
            stdout=words,
            stderr=words,
            env=os.environ | ENVIRONMENT,
        )
    server = Server(process, f"http://127.0.0.1:{port}/v1/score", log)
    try:
        _await_ready(server, start.readiness, first)
        yield server
    finally:
        server.end()


def _await_ready(server: Server, readiness: str, first: bytes) -> None:
    end = time.monotonic() + READY_SECONDS
    while not _answers(server.url, readiness, first):
        if server.process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"it does not serve: {server.log.read_text()[-3000:]}")
        time.sleep(0.2)


def _answers(url: str, readiness: str, first: bytes) -> bool:
    address = url.replace("/v1/score", readiness) if readiness else url
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(address, None if readiness else first, headers)
    try:
        with urllib.request.urlopen(asked, timeout=30) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
