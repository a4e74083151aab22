"""The classical metrics beside torch-fidelity, torchmetrics, prdc, clean-fid and scipy.

    python -m benchmarks.metrics --out benchmarks/results/metrics.txt
    python -m benchmarks.metrics --only frechet --rounds 1

Each part runs in a process of its own, one thread, its sides interleaved in one run; see the parts
for what exactly is compared. Without a peer package its lines are missing and the report says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks._options import parser, tell

PARTS = ("frechet", "neighbours", "inception")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def lines_of(part: str, arguments: list[str], record: Path | None) -> list[str]:
    """What a part prints; its rows go to the file."""
    kept = [] if record is None else ["--record", str(record)]
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks._metrics_{part}", *arguments, *kept],
        env={**os.environ, **_ONE_THREAD},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.splitlines()


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--pictures", type=int, default=10_000, help="a side")
    made.add_argument("--few", type=int, default=1000, help="a side, fewer than dimensions")
    made.add_argument("--crowd", type=int, default=50_000, help="a side, memory only; 0: none")
    given = made.parse_args()
    lines = [f"{datetime.now(UTC):%Y-%m-%d}, python -m benchmarks.metrics"]
    for part in given.only or PARTS:
        arguments = ["--rounds", str(given.rounds), *_sizes(part, given)]
        lines += ["", f"# {part}", *lines_of(part, arguments, given.record)]
    tell(given, "\n".join(lines), [])


def _sizes(part: str, given: Namespace) -> Iterator[str]:
    if part == "frechet":
        yield from ("--pictures", str(given.pictures), str(given.few))
    if part == "neighbours":
        yield from ("--pictures", str(given.pictures), "--crowd", str(given.crowd))


if __name__ == "__main__":
    main()
