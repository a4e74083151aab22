"""Precision and recall beside other packages: CPU time of one thread, and memory.

    python -m benchmarks._metrics_neighbours --pictures 10000 --crowd 50000
    python -m benchmarks._metrics_neighbours --pictures 0 --crowd 50000 --crowd-width 2048

Every package gets the same float32 features (n, 2048) from files, in a process of its own, after a
warm-up on a few rows. Memory is the peak above what the process held with the features loaded.
torch-fidelity makes precision and recall of products that are not centred, prdc and beholder
density and coverage too.

The memory of very many pictures does not depend on the width but for the features themselves and a
few blocks, so `crowd` of them are measured at a width of 64 unless told otherwise, and in the whole
of the process: 50 000 x 50 000 distances of 2048 values take minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from beholder.eval._features import Array
from beholder.eval.precision_recall import precision_recall
from benchmarks._memory import peak, resident
from benchmarks._metrics_frechet import features
from benchmarks._options import heading, named, parser, tell
from benchmarks._record import Row, Spread

OURS = "beholder"
CROWD_WIDTH = 64
Figures = tuple[float, ...]
Method = Callable[[Array, Array], Figures]


@dataclass(frozen=True)
class Needed:
    """What one package needed: CPU seconds of each round, MiB, and precision and recall first."""

    package: str
    pictures: int
    width: int
    seconds: list[float]
    extra: float
    whole: float
    figures: list[float]

    def after(self, earlier: Needed | None) -> Needed:
        """The same with the rounds before it."""
        if earlier is None:
            return self
        extra, whole = max(self.extra, earlier.extra), max(self.whole, earlier.whole)
        seconds = [*earlier.seconds, *self.seconds]
        return replace(self, seconds=seconds, extra=extra, whole=whole)


def run(
    pictures: int = 10_000, crowd: int = 50_000, rounds: int = 1, crowd_width: int = CROWD_WIDTH
) -> list[Needed]:
    """Rows of every package there is at 2048 values, then of beholder for a crowd of pictures.

    Rounds are interleaved: the ratio within a round is what counts.
    """
    found: dict[str, Needed] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in (1, 2):
            np.save(Path(folder) / f"{seed}.npy", features(pictures, seed))
        for name in list(METHODS) * rounds if pictures else ():
            if row := _measured(name, Path(folder)):
                found[name] = row.after(found.get(name))
    return [*found.values(), *([_crowded(crowd, crowd_width)] if crowd else [])]


def _crowded(pictures: int, width: int) -> Needed:
    with tempfile.TemporaryDirectory() as folder:
        for seed in (1, 2):
            generator = np.random.default_rng(seed)
            values = generator.standard_normal((pictures, width), dtype=np.float32)
            np.save(Path(folder) / f"{seed}.npy", values)
        row = _measured(OURS, Path(folder))
    assert row is not None
    return row


def report(rows: Sequence[Needed]) -> list[str]:
    """The rows as lines: medians, and how much of beholder's time and memory others take."""
    ours = next(row for row in rows if row.package == OURS)
    return [_line(row, ours) for row in rows]


def _line(row: Needed, ours: Needed) -> str:
    seconds = float(np.median(row.seconds))
    text = (
        f"  {row.package:26} {row.pictures:6} x {row.width:4}  {seconds:7.2f} s  "
        f"{row.extra:7.0f} MiB extra, {row.whole:5.0f} in all  "
        + " ".join(f"{figure:.4f}" for figure in row.figures)
    )
    if (row.pictures, row.width) != (ours.pictures, ours.width) or row is ours:
        return text
    times = np.median([a / b for a, b in zip(row.seconds, ours.seconds, strict=True)])
    return f"{text}  {times:5.2f} x the time, {row.extra / ours.extra:5.1f} x the memory"


def rows(found: Sequence[Needed]) -> Iterator[Row]:
    """Every peer's time and memory beside beholder's, of as many pictures."""
    ours, *others = found
    for row in others:
        if row.package == OURS:
            continue
        what = f"precision and recall of {row.pictures:,} x {row.width} features a side"
        far = max(abs(a - b) for a, b in zip(row.figures, ours.figures, strict=False))
        time_and_memory = {
            "CPU time": Spread.of_ratios(row.seconds, ours.seconds),
            "memory": Spread.of([row.extra / ours.extra]),
        }
        for unit, ratio in time_and_memory.items():
            yield Row(
                area="metrics",
                what=what if unit == "CPU time" else f"{what}, memory",
                against=row.package,
                ratio=ratio,
                unit=unit,
                peer=named(row.package.split()[0]),
                agreement=f"largest difference {far:.1g}",
            )


def _measured(package: str, folder: Path) -> Needed | None:
    """What a process of its own says; None if the package is not there."""
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, "--child", package, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )
    last = done.stdout.strip().splitlines()[-1]
    return None if last == "absent" else Needed(**json.loads(last))


def _child(package: str, folder: Path) -> str:
    torch.set_num_threads(1)
    try:
        method = METHODS[package]()
    except ImportError:
        return "absent"
    real, fake = (np.load(folder / f"{seed}.npy") for seed in (1, 2))
    method(real[:300], fake[:300])
    before = resident()
    start = time.process_time()
    figures = method(real, fake)
    seconds = [time.process_time() - start]
    most = peak()
    row = Needed(package, len(real), real.shape[1], seconds, most - before, most, list(figures))
    return json.dumps(asdict(row))


def _ours() -> Method:
    def figures(real: Array, fake: Array) -> Figures:
        found = precision_recall(real, fake, density_k=3)  # as prdc, which has one k
        return found.precision, found.recall, found.density, found.coverage

    return figures


def _torch_fidelity(*, part: bool) -> Method:
    from torch_fidelity import metric_prc

    name = "calculate_precision_recall_part" if part else "calculate_precision_recall_full"
    return lambda real, fake: tuple(
        getattr(metric_prc, name)(torch.from_numpy(fake), torch.from_numpy(real))
    )


def _prdc() -> Method:
    import prdc

    def figures(real: Array, fake: Array) -> Figures:
        found = prdc.compute_prdc(real, fake, nearest_k=3)
        return tuple(found[name] for name in ("precision", "recall", "density", "coverage"))

    return figures


METHODS: dict[str, Callable[[], Method]] = {
    OURS: _ours,
    "torch-fidelity": partial(_torch_fidelity, part=False),
    "torch-fidelity save_cpu_ram": partial(_torch_fidelity, part=True),
    "prdc": _prdc,
}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--pictures", type=int, default=10_000, help="a side")
    made.add_argument("--crowd", type=int, default=50_000, help="a side, memory only; 0: none")
    made.add_argument("--crowd-width", type=int, default=CROWD_WIDTH, help="values a picture")
    made.add_argument("--rounds", type=int, default=1)
    made.add_argument("--child", nargs=2, metavar=("PACKAGE", "FOLDER"))
    given = made.parse_args()
    if given.child:
        package, folder = given.child
        sys.stdout.write(_child(package, Path(folder)) + "\n")
        return
    found = run(given.pictures, given.crowd, given.rounds, given.crowd_width)
    first = heading("numpy", "torch-fidelity", "prdc")
    tell(given, "\n".join([first, *report(found)]), rows(found) if given.pictures else ())


if __name__ == "__main__":
    main()
