"""All benchmarks, one table: what was measured, against whom, and what has changed.

    python -m benchmarks                               # make bench
    python -m benchmarks --only scoring metrics        # the others keep their last figures
    python -m benchmarks --profile full --readme

Each benchmark runs in a process of its own; one that fails, or whose peer, device or server is not
there, is a line with its reason. Results go to benchmarks/results/<date>.json and .md. A ratio that
is worse than the last committed one by more than noise, or lost, makes the exit code 1.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from beholder.eval.cost import processor
from benchmarks._options import ROOT, installed
from benchmarks._profiles import PATIENCE, PROFILES, QUICK
from benchmarks._record import Missing, recorded
from benchmarks._results import Ran, Results, committed
from benchmarks._summary import page, regressions, rewrite, told

PACKAGES = ("beholder", "torch", "transformers", "open_clip_torch", "diffusers", "numpy", "pillow")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def main() -> int:
    given = _arguments()
    before = committed(given.results, given.profile)
    names = given.only or list(QUICK)
    ran = [run(name, given.profile, given.logs) for name in names]
    now = _results(given.profile, ran).after(before if given.only else None)
    place = given.results / f"{now.date}.json"
    now.write(place)
    text = page(now, before)
    place.with_suffix(".md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    if given.readme:
        rewrite(ROOT / "README.md", now, place.with_suffix(".md"))
    return _verdict(now, before, ran, allowed=given.allow_regressions)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--profile", choices=PROFILES, default="quick", help="how much is done")
    parser.add_argument("--only", nargs="+", choices=QUICK, default=[], help="some of them")
    parser.add_argument("--readme", action="store_true", help="put the headlines into the README")
    parser.add_argument("--allow-regressions", action="store_true", help="leave with 0 anyway")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--logs", type=Path, default=ROOT / "runs" / "bench", help="all they say")
    return parser.parse_args()


def run(name: str, profile: str, logs: Path) -> Ran:
    """One benchmark in a process of its own; a failure is told, never raised."""
    arguments = PROFILES[profile][name]
    sys.stderr.write(f"{name} …\n")
    logs.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        failure = _failure(name, [*arguments, "--record", str(rows)], logs, PATIENCE[profile])
        found = recorded(rows)
    minutes = (time.monotonic() - start) / 60
    ratios = len(found) - sum(isinstance(row, Missing) for row in found)
    sys.stderr.write(f"{name}: {ratios} ratios, {minutes:.1f} minutes {failure}\n")
    return Ran(
        name=name,
        arguments=list(arguments),
        date=f"{datetime.now(UTC).date()}",
        minutes=round(minutes, 2),
        failure=failure,
        rows=found,
    )


def _failure(name: str, arguments: Sequence[str], logs: Path, patience: float) -> str:
    """Why it did not come to its end, "" if it did; all that it says goes to `<name>.log`."""
    module, log = f"benchmarks.{name}", logs / f"{name}.log"
    if find_spec(module) is None:
        return f"there is no {module}"
    with log.open("w", encoding="utf-8") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **_ONE_THREAD},
            stdout=words,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        try:
            code = process.wait(patience)
        except subprocess.TimeoutExpired:
            return f"it had not ended after {patience / 60:.0f} minutes"
        finally:
            _end(process)
    return f"exit code {code}: {_last_line(log)}" if code else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of it, its own children included."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").split("\n")]
    return next((line for line in reversed(lines) if line), "it said nothing")[:300]


def _results(profile: str, ran: Sequence[Ran]) -> Results:
    versions = {"python": platform.python_version()}
    versions |= {name: installed(name) for name in PACKAGES if installed(name)}
    return Results(
        date=f"{datetime.now(UTC).date()}",
        profile=profile,
        machine=f"{processor()}, {os.cpu_count()} cores, one thread",
        versions=versions,
        benchmarks=ran,
    )


def _verdict(now: Results, before: Results | None, ran: Sequence[Ran], *, allowed: bool) -> int:
    """Say what got worse; the exit code."""
    worse = regressions(now, before)
    for change in worse:
        sys.stderr.write(f"{told(change)}\n")
    if before and before.machine != now.machine and worse:
        sys.stderr.write(f"not counted, since the last was measured on {before.machine}\n")
        worse = []
    failed = any(one.failure for one in ran)
    return int(bool(worse or failed) and not allowed)


if __name__ == "__main__":
    sys.exit(main())
