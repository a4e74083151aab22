"""Memory of `score_table` while it goes through many pictures.

    python -m benchmarks.memory --rows 100000 --out benchmarks/results/memory.txt

A manifest names the same few files over and over, each row with its own key and prompt. The memory
of the process is read as it goes: it has to stay flat, whatever the number of rows.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

import beholder
from beholder.inputs import read_inputs
from beholder.rewards.scoring import score_table
from benchmarks._memory import resident
from benchmarks._options import heading, parser, tell
from benchmarks._pictures import jpeg
from benchmarks._record import Row, Spread

FILES = 50
MARKS = (1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--rows", type=int, default=100_000)
    made.add_argument("--side", type=int, default=128, help="of the JPEG files, in pixels")
    given = made.parse_args()
    torch.set_num_threads(1)
    seen: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        manifest = _manifest(Path(folder), given.rows, given.side)
        summary = score_table(
            read_inputs(str(manifest)),
            {"tiny": beholder.load("tiny")},
            Path(folder) / "scores",
            progress=_watch(seen),
        )
    lines = [
        heading("torch"),
        f"reward tiny, {given.rows} rows of {given.side}², {summary.failed} failed",
        *(f"after {rows:>9,} rows: {mebibytes:7.1f} MiB" for rows, mebibytes in seen),
    ]
    tell(given, "\n".join(lines), _grown(seen, given.side))


def _grown(seen: Sequence[tuple[int, float]], side: int) -> list[Row]:
    """Memory at the end beside that after the first thousand rows."""
    (first, before), (last, after) = seen[0], seen[-1]
    what = f"memory after {last:,} rows of {side}², reward tiny"
    ratio = Spread.of([after / before])
    return [
        Row(
            area="scale",
            what=what,
            against=f"itself after {first:,} rows",
            ratio=ratio,
            unit="memory",
            goal=1.3,
            better="lower",
        )
    ]


def _manifest(folder: Path, rows: int, side: int) -> Path:
    for k in range(FILES):
        (folder / f"{k}.jpg").write_bytes(jpeg(side, k))
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "image", "prompt"])
        writer.writerows([f"row-{k}", f"{k % FILES}.jpg", f"picture {k}"] for k in range(rows))
    return folder / "manifest.csv"


def _watch(seen: list[tuple[int, float]]) -> Callable[[int], object]:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        passed = [mark for mark in MARKS if done < mark <= done + count]
        done += count
        seen.extend((mark, resident()) for mark in passed)

    return advance


if __name__ == "__main__":
    main()
