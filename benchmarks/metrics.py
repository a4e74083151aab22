"""The classical metrics beside torch-fidelity, torchmetrics, prdc, clean-fid and scipy.

    python -m benchmarks.metrics --out benchmarks/results/metrics.txt
    python -m benchmarks.metrics --only frechet --rounds 1

Each part runs in a process of its own, one thread, its sides interleaved in one run; see the parts
for what exactly is compared. Without a peer package its lines are missing and the report says so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

PARTS = ("frechet", "neighbours", "inception")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def lines_of(part: str, arguments: list[str]) -> list[str]:
    """What a part prints."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks._metrics_{part}", *arguments],
        env={**os.environ, **_ONE_THREAD},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a file to write the report to as well")
    given = parser.parse_args()
    lines = [f"{datetime.now(UTC):%Y-%m-%d}, python -m benchmarks.metrics"]
    print(lines[0])
    for part in given.only or PARTS:
        found = ["", f"# {part}", *lines_of(part, ["--rounds", str(given.rounds)])]
        print("\n".join(found), flush=True)
        lines += found
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
