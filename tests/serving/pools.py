"""Pools of stand-in workers, and what tests ask them."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from beholder.serving import crew, worker
from beholder.serving.items import Answer, Item, Picture
from beholder.serving.metrics import Metrics
from beholder.serving.pool import Pool
from beholder.serving.settings import PoolSettings, WorkerSettings
from tests.serving.stand_in_worker import PROGRAM

LONG = 20.0
"""Seconds in which anything happens, on the slowest machine."""


@dataclass
class Stage:
    """A folder that stand-in workers load from, and settings for a pool of them."""

    folder: Path
    settings: PoolSettings

    def pool(self, workers: int = 1, metrics: Metrics | None = None, **changes: object) -> Pool:
        each = self.settings.workers * workers
        return Pool(replace(self.settings, workers=each, **changes), metrics)  # type: ignore[arg-type]

    def with_worker(self, seconds: float = 0.0, batch_size: int = 4) -> "Stage":
        options = {"folder": str(self.folder), "seconds": seconds}
        each = WorkerSettings(rewards={"bytes": ("none", options)}, batch_size=batch_size)
        return Stage(self.folder, replace(self.settings, workers=(each,)))

    def put(self, weights: str) -> None:
        (self.folder / "weights").write_text(weights)

    def open(self) -> None:
        """Let the workers go on that wait at the gate."""
        (self.folder / "open").touch()

    def loaders(self) -> list[int]:
        """Processes that began to load, in order."""
        return [int(line) for line in self._lines("loads")]

    def loads(self) -> int:
        return len(self.loaders())

    def tried(self, prompt: str) -> int:
        """How often a worker took up an item with that prompt."""
        return sum(line.partition(" ")[2] == prompt for line in self._lines("tried"))

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


def staged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(worker, "PROGRAM", PROGRAM)
    monkeypatch.setattr(worker, "LAST_WORDS", 0.2)
    monkeypatch.setattr(crew, "FIRST_PAUSE", 0.02)
    (folder / "weights").write_text("1")
    return Stage(folder, PoolSettings(workers=())).with_worker()


@asynccontextmanager
async def started(pool: Pool) -> AsyncIterator[Pool]:
    try:
        await pool.start()
        yield pool
    finally:
        await pool.close()


def run(main: Coroutine[object, object, None]) -> None:
    """To the end, with nothing left behind that Python would complain about."""
    asyncio.run(main)
    gc.collect()


def item(prompt: str = "", size: int = 1) -> Item:
    return Item(picture=Picture(data=bytes(size)), prompt=prompt, rewards=("bytes",))


async def scored(pool: Pool, *items: Item, timeout: float = LONG) -> list[Answer]:
    return await pool.score(items, timeout=timeout)


def totals(answers: list[Answer]) -> list[float | None]:
    return [a.scores["bytes"].total if a.scores else None for a in answers]


def weights_of(answers: list[Answer]) -> set[float | None]:
    return {answer.scores["bytes"].aspects["weights"] for answer in answers}


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not is_so():
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
