"""Runs of `beholder score --engine` as people start them, watched and killed from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 3600.0
"""Seconds after which a run that does not move is a failed benchmark."""

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
RAY_ACTOR = "ray::MapWorker"


@dataclass
class Driver:
    """A driver that was started, with all processes below it."""

    process: subprocess.Popen[bytes]
    out: Path
    started: float = field(default_factory=time.monotonic)
    below: list[int] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until(self, ready: Callable[[], bool], every: float = 0.05) -> bool:
        """Whether it became true before the driver ended."""
        while not ready():
            if self.process.poll() is not None:
                return ready()
            if time.monotonic() - self.started > PATIENCE:
                raise SystemExit(f"{self.out} did not get on within {PATIENCE:.0f} s")
            time.sleep(every)
        return True

    def finish(self) -> int:
        """Its exit code."""
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End the driver alone, as a machine's memory killer does."""
        self.below = descendants(self.pid)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def workers(self) -> list[int]:
        """The processes below it that score."""
        return [pid for pid in descendants(self.pid) if _scores(command(pid))]


def score_command(source: Path, out: Path, engine: str, *more: str) -> list[str]:
    """The command line of a run by the reward tiny."""
    start = [sys.executable, "-m", "beholder", "score", str(source), "-o", str(out)]
    return [*start, "--engine", engine, *([] if "-r" in more else ["-r", "tiny"]), *more]


def verify_command(out: Path) -> list[str]:
    """The command line that counts every row against its source."""
    return [sys.executable, "-m", "beholder", "score", "-o", str(out), "--verify"]


def loop_command(source: Path, out: Path) -> list[str]:
    """The command line of the plain loop."""
    return [sys.executable, "-m", "benchmarks._scale_loop", str(source), str(out)]


@contextmanager
def started(
    arguments: Sequence[str], out: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Driver]:
    """A driver with its words in a file beside its folder; nothing of it is left afterwards."""
    with out.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(
            arguments,
            stdout=log,
            stderr=log,
            env=os.environ | ENVIRONMENT | dict(environment or {}),
        )
        driver = Driver(process, out)
        try:
            yield driver
        finally:
            if process.poll() is None:
                driver.kill()
            await_end(driver.below)


def run(arguments: Sequence[str], out: Path) -> tuple[int, float]:
    """Exit code and seconds of a run that nobody disturbs."""
    with started(arguments, out) as driver:
        code = driver.finish()
        return code, time.monotonic() - driver.started


def await_end(pids: Sequence[int], seconds: float = 60.0) -> None:
    """Wait until processes are gone; who is not is told to be."""
    end = time.monotonic() + seconds
    while any(command(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.1)
    for pid in pids:
        if command(pid):
            os.kill(pid, signal.SIGKILL)


def done(out: Path) -> int:
    """Shards whose scores are there."""
    return sum(1 for _ in out.glob("*.parquet"))


def last_words(out: Path) -> str:
    """The end of what a run into a folder said."""
    return out.with_suffix(".log").read_text()[-2000:]


def descendants(pid: int) -> list[int]:
    """Processes below one, in no order."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (stat := _text(entry / "stat")):
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, ahead = [], [pid]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


def command(pid: int) -> str:
    """The command line of a process, "" if it is gone or only waits to be buried."""
    return _text(Path(f"/proc/{pid}/cmdline")).replace("\0", " ").strip()


def _scores(words: str) -> bool:
    return words.startswith(RAY_ACTOR) or "worker_process" in words


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # the process has just gone
        return ""
