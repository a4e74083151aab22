"""Rate and memory of the engines beside a plain loop."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import _scale_runs as runs
from benchmarks._memory import resident
from benchmarks._record import Row, Spread

Command = Callable[[Path, Path], list[str]]
PLAIN = "plain loop"


@dataclass(frozen=True)
class Rate:
    """How fast one run was.

    Attributes:
        steady: pictures a second between the first and the last file that was written, so that
            what a start costs does not count.
        whole: seconds from start to end.
        cpu: seconds of its processes, as far as they were waited for.
    """

    steady: float
    whole: float
    cpu: float


def rates(
    tars: Path, folder: Path, each: int, rounds: int, engines: Sequence[str]
) -> Mapping[str, Sequence[Rate]]:
    """Each way of scoring in interleaved rounds, the plain loop first.

    `each` is the number of pictures of an archive.
    """
    ways: dict[str, Command] = {PLAIN: runs.loop_command}
    for engine in engines:
        ways |= {f"{engine} x {workers}": _by(engine, workers) for workers in (1, 2)}
    found: dict[str, list[Rate]] = {way: [] for way in ways}
    for number in range(rounds):
        for way, command in ways.items():
            out = folder / f"rate-{number}"
            found[way].append(_rate(command(tars, out), out, each))
            shutil.rmtree(out)
    return found


def _by(engine: str, workers: int) -> Command:
    def command(tars: Path, out: Path) -> list[str]:
        return runs.score_command(tars, out, engine, "--workers", str(workers))

    return command


def _rate(arguments: Sequence[str], out: Path, each: int) -> Rate:
    before = _cpu()
    code, seconds = runs.run(arguments, out)
    if code:
        raise SystemExit(f"{' '.join(arguments)}: exit code {code}\n{runs.last_words(out)}")
    times = sorted(path.stat().st_mtime for path in out.glob("*.parquet"))
    if len(times) < 2:
        raise SystemExit(f"a rate is measured between files: {len(times)} archive is too few")
    steady = each * (len(times) - 1) / max(times[-1] - times[0], 1e-9)
    return Rate(steady, seconds, _cpu() - before)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows(found: Mapping[str, Sequence[Rate]], what: str) -> list[Row]:
    """Every engine beside the plain loop."""
    return [
        Row(
            area="scale",
            what=f"{what}, {way}",
            against=PLAIN,
            ratio=_ratio(measured, found[PLAIN]),
            unit="wall time",
        )
        for way, measured in found.items()
        if way != PLAIN
    ]


def _ratio(measured: Sequence[Rate], plain: Sequence[Rate]) -> Spread:
    """How many times as many pictures a second."""
    return Spread.of_ratios([rate.steady for rate in measured], [rate.steady for rate in plain])


def table(found: Mapping[str, Sequence[Rate]]) -> list[str]:
    """A line for each way, medians of the rounds."""
    lines = ["way               pictures/s     times the plain loop   whole run s    CPU s"]
    for way, measured in found.items():
        steady, whole, cpu = (
            Spread.of([getattr(rate, name) for rate in measured]).median
            for name in ("steady", "whole", "cpu")
        )
        span = _ratio(measured, found[PLAIN]).told(3)
        lines.append(
            f"{way:<16}  {steady:>10.1f}  {span:>24}  {whole:>12.1f}  {_seconds(way, cpu)}"
        )
    return lines


def _seconds(way: str, cpu: float) -> str:
    return "       -" if way.startswith("ray") else f"{cpu:>8.1f}"


def memory(tars: Path, folder: Path, each: int, engine: str) -> list[str]:
    """Memory of the driver and of the largest worker while a run goes on, and its growth."""
    out = folder / f"memory-{engine}"
    total = sum(1 for _ in tars.glob("*.tar"))
    samples: list[tuple[int, float, float]] = []

    def look() -> bool:
        workers = [resident(pid) for pid in driver.workers()]
        samples.append((runs.done(out), resident(driver.pid), max(workers, default=0.0)))
        return False

    with runs.started(runs.score_command(tars, out, engine, "--workers", "2"), out) as driver:
        driver.wait_until(look, every=0.5)
        if driver.finish():
            raise SystemExit(runs.last_words(out))
    shutil.rmtree(out)
    return _marks(engine, samples, total, each)


def _marks(
    engine: str, samples: Sequence[tuple[int, float, float]], total: int, each: int
) -> list[str]:
    lines = [f"{engine}, 2 workers         driver MiB   largest worker MiB"]
    tenths: dict[int, tuple[float, float]] = {}
    for tenth in range(1, 10):
        of = [s for s in samples if tenth * total <= 10 * s[0] < (tenth + 1) * total and s[2]]
        if of:
            tenths[tenth] = max(s[1] for s in of), max(s[2] for s in of)
            driver, worker = tenths[tenth]
            rows = tenth * total * each // 10
            lines.append(f"from {rows:>9,} pictures   {driver:>10.1f}   {worker:>18.1f}")
    if not tenths:
        return [*lines, "no worker was seen at work: too few pictures to measure"]
    first, last = tenths[min(tenths)], tenths[max(tenths)]
    grown = ", ".join(f"{b - a:+.1f}" for a, b in zip(first, last, strict=True))
    return [*lines, f"growth from the first of these lines to the last, MiB: {grown}"]
