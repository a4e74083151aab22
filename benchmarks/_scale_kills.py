"""Runs that are killed again and again, and what is then left of their table."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks import _scale_runs as runs


@dataclass
class Killings:
    """Kills a driver and its workers in turn, at random points of a run that is begun anew.

    Attributes:
        arguments: the command line.
        done_by: file -> when it was written, of shards that were done at some kill.
        kills: what was killed and when, in words.
    """

    arguments: Sequence[str]
    out: Path
    random: random.Random
    done_by: dict[str, int] = field(default_factory=dict)
    kills: list[str] = field(default_factory=list)
    starts: int = 0

    def carry_out(self, points: Sequence[int]) -> int:
        """Kill at each number of finished shards, then let it finish; gives the exit code."""
        left = list(points)
        while True:
            self.starts += 1
            with runs.started(self.arguments, self.out) as driver:
                if not self._kill_some(driver, left):
                    return driver.finish()

    def _kill_some(self, driver: runs.Driver, left: list[int]) -> bool:
        """Whether the driver was killed, rather than a worker or nobody."""
        while left:
            point = left[0]
            if not driver.wait_until(lambda point=point: runs.done(self.out) >= point):  # type: ignore[misc]
                return False
            driver.wait_until(lambda: bool(driver.workers()))
            time.sleep(self.random.uniform(0, 0.5))
            del left[0]
            if self._kill(driver):
                return True
        return False

    def _kill(self, driver: runs.Driver) -> bool:
        at = runs.done(self.out)
        is_driver = len(self.kills) % 2 == 0
        workers = driver.workers()
        if driver.process.poll() is not None or not (is_driver or workers):
            return False
        self.kills.append(f"{'driver' if is_driver else 'worker'} at {at}")
        if is_driver:
            driver.kill()
        else:
            os.kill(self.random.choice(workers), signal.SIGKILL)
        self._remember()
        return is_driver

    def _remember(self) -> None:
        for name, written in written_at(self.out).items():
            self.done_by.setdefault(name, written)

    def rewritten(self) -> int:
        """Files that were there at a kill and were written once more."""
        now = written_at(self.out)
        return sum(now.get(name) != written for name, written in self.done_by.items())


def written_at(out: Path) -> dict[str, int]:
    """Score files and their times in nanoseconds."""
    return {path.name: path.stat().st_mtime_ns for path in out.glob("*.parquet")}


@dataclass(frozen=True)
class Difference:
    """How two folders of scores differ.

    Attributes:
        rows: of both.
        keys: distinct keys of the second.
        unlike: files that are missing or not the same bytes.
    """

    rows: tuple[int, int]
    keys: int
    unlike: int

    @property
    def is_none(self) -> bool:
        """Whether both have the same files, and no row twice."""
        return not self.unlike and self.rows[0] == self.rows[1] == self.keys

    def __str__(self) -> str:
        first, second = self.rows
        return (
            f"rows {first} and {second}, {second - self.keys} of them twice, "
            f"{self.unlike} files not the same bytes"
        )


def compared(first: Path, second: Path) -> Difference:
    """Two folders of scores, file by file."""
    names = {path.name for out in (first, second) for path in out.glob("*.parquet")}
    unlike = [name for name in names if _bytes(first / name) != _bytes(second / name)]
    return Difference((_rows(first), _rows(second)), len(_keys(second)), len(unlike))


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _rows(out: Path) -> int:
    return sum(pq.ParquetFile(path).metadata.num_rows for path in out.glob("*.parquet"))


def _keys(out: Path) -> set[str]:
    tables = (pq.read_table(path, columns=["key"]) for path in out.glob("*.parquet"))
    return {key for table in tables for key in table["key"].to_pylist()}


def killed(tars: Path, folder: Path, engine: str, times: int, seed: int) -> list[str]:
    """Kill a run so often, compare its table with that of one which nobody disturbed."""
    plain = reference(tars, folder)
    out = folder / f"killed-{engine}"
    shards = sum(1 for _ in tars.glob("*.tar"))
    generator = random.Random(seed)
    points = sorted(generator.sample(range(1, max(times + 1, shards * 9 // 10)), times))
    arguments = runs.score_command(tars, out, engine, "--workers", "2")
    killings = Killings(arguments, out, generator)
    code = killings.carry_out(points)
    if code:
        raise SystemExit(f"exit code {code}\n{runs.last_words(out)}")
    verified, _ = runs.run(runs.verify_command(out), out)
    difference, again = compared(plain, out), killings.rewritten()
    if verified or again or not difference.is_none:
        raise SystemExit(
            f"{engine}, after {', '.join(killings.kills)}: --verify {verified}, {difference}, "
            f"{again} finished shards scored twice"
        )
    return [
        f"{engine}: {len(killings.kills)} kills by SIGKILL, {killings.starts} starts; "
        f"exit codes of the last run and of --verify {code} and {verified}",
        f"  {', '.join(killings.kills)} of {shards} shards",
        f"  beside an undisturbed run: {difference}",
        f"  {again} of {len(killings.done_by)} finished shards were scored twice",
    ]


def reference(tars: Path, folder: Path) -> Path:
    """Scores of a run by processes that nobody disturbs; made once."""
    out = folder / "undisturbed"
    if not out.exists():
        code, _ = runs.run(runs.score_command(tars, out, "processes", "--workers", "2"), out)
        if code:
            raise SystemExit(f"the undisturbed run: exit code {code}\n{runs.last_words(out)}")
    return out
