"""Memory of `score_table` while it goes through many pictures.

    python -m benchmarks.memory --rows 100000 --out benchmarks/results/memory.txt

A manifest names the same few files over and over, each row with its own key and prompt. The memory
of the process is read as it goes: it has to stay flat, whatever the number of rows.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

import beholder
from beholder.eval.cost import processor
from beholder.inputs import read_inputs
from beholder.rewards.scoring import score_table
from benchmarks.scoring import jpeg

FILES = 50
MARKS = (1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(description="memory of a scoring run")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=128, help="of the JPEG files, in pixels")
    parser.add_argument("--out", type=Path, help="also write the report to this file")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        manifest = _manifest(Path(folder), given.rows, given.side)
        lines: list[str] = []
        summary = score_table(
            read_inputs(str(manifest)),
            {"tiny": beholder.load("tiny")},
            Path(folder) / "scores",
            progress=_watch(lines),
        )
    heading = (
        f"{datetime.now(UTC).date()}, {processor()}, torch {version('torch')}, reward tiny, "
        f"{given.rows} rows of {given.side}², {summary.failed} failed"
    )
    report = "\n".join([heading, *lines]) + "\n"
    sys.stdout.write(report)
    if given.out:
        given.out.write_text(report)


def _manifest(folder: Path, rows: int, side: int) -> Path:
    for k in range(FILES):
        (folder / f"{k}.jpg").write_bytes(jpeg(side, k))
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "image", "prompt"])
        writer.writerows([f"row-{k}", f"{k % FILES}.jpg", f"picture {k}"] for k in range(rows))
    return folder / "manifest.csv"


def _watch(lines: list[str]) -> Callable[[int], object]:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        passed = [mark for mark in MARKS if done < mark <= done + count]
        done += count
        lines.extend(f"after {mark:>9,} rows: {_resident():7.1f} MiB" for mark in passed)

    return advance


def _resident() -> float:
    rows = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (row.split()[1] for row in rows if row.startswith("VmRSS"))
    return int(kilobytes) / 1024


if __name__ == "__main__":
    main()
