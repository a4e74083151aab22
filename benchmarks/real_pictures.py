"""How the distances answer to damage of real photographs, on features that stand in for theirs.

    python -m benchmarks.real_pictures --out benchmarks/results/real_pictures.txt

Real and generated are different random cut-outs of the same eight photographs; the generated ones
are damaged at rising strength. Features are those of EfficientNet-Lite0, so the Fréchet distance
here is no FID, and neither are the others KID and CMMD as published. A strength of 1 is a blur of 3
pixels, noise of 40 grey levels, JPEG of quality 5, or a strong green cast.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch

from beholder._terminal import table
from beholder.eval.frechet import from_features
from beholder.eval.kernel import cmmd, kid
from beholder.eval.precision_recall import precision_recall
from benchmarks._options import heading, parser, tell
from benchmarks._record import Row, Spread
from tests.eval.photographs import (
    DAMAGES,
    SIDE,
    Picture,
    Rows,
    crops,
    damaged,
    features,
    photographs,
)

Figures = dict[str, float]
STRENGTHS = (0.1, 0.25, 0.5, 0.75, 1.0)
KEPT = (8, 6, 4, 2, 1)  # photographs whose cut-outs are still generated
DISTANCES: Mapping[str, Callable[[Rows, Rows], float]] = {
    "Fréchet": lambda real, fake: float(from_features(real, fake)),
    "KID": lambda real, fake: 1000 * kid(real, fake, groups=0).value,
    "CMMD": lambda real, fake: cmmd(real, fake, groups=0).value,
}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--each", type=int, default=25, help="cut-outs of a photograph and side")
    made.add_argument("--seed", type=int, default=0)
    given = made.parse_args()
    torch.set_num_threads(1)
    lines, rows = _report(given.each, given.seed)
    tell(given, "\n".join(lines), rows)


def _report(each: int, seed: int) -> tuple[list[str], list[Row]]:
    start = time.process_time()
    real = crops(each, seed)
    clean = crops(each, seed + 1)
    rows = features(_flat(real))
    found = {"none 0": _figures(rows, features(_flat(clean)))}
    for damage in DAMAGES:
        for strength in STRENGTHS:
            fake = features(damaged(_flat(clean), damage, strength))
            found[f"{damage} {strength:g}"] = _figures(rows, fake)
    dropped = _mode_dropping(rows, each, seed + 1)
    seconds = time.process_time() - start
    first = heading("torch", note=f"one thread, {seconds:.0f} CPU-s")
    which = (
        f"{len(rows)} cut-outs a side of {len(photographs())} photographs, {SIDE}², "
        "EfficientNet-Lite0 features: not FID, KID or CMMD as published"
    )
    note = (
        "KID begins below 0, since both sides have as many cut-outs of each photograph, which "
        "independent samples would not"
    )
    lines = [first, which, note, "", _table(found), "", *_falls(found), "", *dropped]
    return lines, _rows(found, len(rows))


def _figures(real: Rows, fake: Rows) -> Figures:
    near = precision_recall(real, fake)
    shares = {"precision": near.precision, "recall": near.recall}
    distances = {name: distance(real, fake) for name, distance in DISTANCES.items()}
    return {**distances, **shares, "density": near.density, "coverage": near.coverage}


def _rows(found: Mapping[str, Figures], count: int) -> list[Row]:
    """At how many of the steps of each damage a distance grows."""
    return [
        Row(
            area="metrics",
            what=f"{name} grows with damage, {count} cut-outs of real photographs",
            against="every step of blur, noise, JPEG and cast",
            ratio=Spread.of([_growing(found, name, damage) for damage in DAMAGES]),
            unit="share of steps",
        )
        for name in DISTANCES
    ]


def _growing(found: Mapping[str, Figures], name: str, damage: str) -> float:
    values = [found[step][name] for step in _steps(damage)]
    return sum(a < b for a, b in pairwise(values)) / (len(values) - 1)


def _steps(damage: str) -> list[str]:
    return ["none 0", *(f"{damage} {strength:g}" for strength in STRENGTHS)]


def _mode_dropping(real: Rows, each: int, seed: int) -> list[str]:
    """The same number of clean cut-outs, of fewer and fewer photographs."""
    found = {}
    for kept in KEPT:
        pool = crops(each * len(photographs()) // kept, seed)
        fake = [picture for name in list(pool)[:kept] for picture in pool[name]]
        found[f"{kept} of {len(photographs())} photographs"] = _figures(real, features(fake))
    return ["Mode dropping:", _table(found)]


def _table(found: Mapping[str, Figures]) -> str:
    header = ["generated", *next(iter(found.values()))]
    header = [{"KID": "KID x 1000"}.get(name, name) for name in header]
    return table([[name, *figures.values()] for name, figures in found.items()], header)


def _falls(found: Mapping[str, Figures]) -> list[str]:
    """Every place where a distance does not grow with the strength, or precision does not fall."""
    lines = []
    for damage in DAMAGES:
        for name in (*DISTANCES, "precision"):
            sign = -1 if name == "precision" else 1
            lines += [
                f"not monotonic: {name} goes from {found[a][name]:.4f} at {a} to "
                f"{found[b][name]:.4f} at {b}"
                for a, b in pairwise(_steps(damage))
                if sign * (found[b][name] - found[a][name]) <= 0
            ]
    return lines or ["monotonic: every distance grows and precision falls at every step"]


def _flat(pictures: Mapping[str, Sequence[Picture]]) -> list[Picture]:
    return [picture for group in pictures.values() for picture in group]


if __name__ == "__main__":
    main()
