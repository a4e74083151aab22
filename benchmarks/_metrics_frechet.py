"""Fréchet distances beside other packages, in CPU time of one thread.

    python -m benchmarks._metrics_frechet --pictures 10000 --rounds 1

All sides get the same float32 features (n, 2048), as ReLU gives them, with a decaying spectrum.
"whole" is from features to the distance; "distance" from statistics that are already there, and of
few pictures from the features for beholder, which forms no covariance of them. Rounds are
interleaved, and the ratio within a round is what counts. Error is against the largest number of
digits that there is: singular values of both factors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from beholder.eval._features import Array
from beholder.eval._origin import Origin
from beholder.eval.frechet import from_features, from_statistics
from beholder.eval.statistics import Statistics
from benchmarks._options import heading, installed, named, parser, tell
from benchmarks._record import Missing, Row, Spread

DIMS = 2048
OURS = "beholder"
PACKAGES = ("torch-fidelity", "torchmetrics", "scipy")
_NOWHERE = Origin.from_dict({})
Moments = tuple[Array, Array]


@dataclass(frozen=True)
class Method:
    """How a package comes from features to their moments, and from two of these to a distance."""

    moments: Callable[[Array], Any]
    distance: Callable[[Any, Any], float]


@dataclass(frozen=True)
class Needed:
    """What one package needed, CPU seconds of each round, and its value."""

    package: str
    pictures: int
    whole: list[float]
    distance: list[float]
    value: float


def run(
    pictures: tuple[int, ...] = (10_000, 1000), rounds: int = 3, only: str = ""
) -> dict[int, list[Needed]]:
    """Rows of every package there is, by the number of pictures a side."""
    methods = {name: m for name, m in _methods().items() if name == OURS or only in name}
    return {count: _rows(count, methods, rounds) for count in pictures}


def report(found: Mapping[int, list[Needed]]) -> list[str]:
    """The rows as lines: medians, and how many times as fast beholder is in the same round."""
    lines = [f"not installed: {name}" for name in PACKAGES if not installed(name)]
    for count, rows in found.items():
        lines.append(f"\n{count} x {DIMS} a side")
        ours = next(row for row in rows if row.package == OURS)
        lines += [_line(row, ours) for row in rows]
    return lines


def features(count: int, seed: int) -> Array:
    """Not negative, many of them 0, eigenvalues of the covariance over five decades."""
    generator = np.random.default_rng(seed)
    mixed = np.random.default_rng(0).normal(size=(DIMS, DIMS)) / np.sqrt(DIMS)
    spread = 10 ** -np.linspace(0, 2.5, DIMS)
    values = (generator.normal(size=(count, DIMS)) * spread) @ mixed + 0.2 + 0.02 * seed
    kept: Array = np.maximum(values, 0).astype(np.float32)
    return kept


def _rows(count: int, methods: Mapping[str, Method], rounds: int) -> list[Needed]:
    first, second = features(count, 1), features(count, 2)
    rows = {name: Needed(name, count, [], [], 0.0) for name in methods}
    for _ in range(rounds):
        for name, method in methods.items():
            start = time.process_time()
            sides = method.moments(first), method.moments(second)
            between = time.process_time()
            value = method.distance(*sides)
            end = time.process_time()
            old = rows[name]
            whole, distance = [*old.whole, end - start], [*old.distance, end - between]
            rows[name] = Needed(name, count, whole, distance, value)
    return list(rows.values())


def _line(row: Needed, ours: Needed) -> str:
    times = [
        f"{name} {Spread.of(mine).median:7.2f} s ({_ratio(mine, base)})"
        for name, mine, base in (
            ("whole", row.whole, ours.whole),
            ("distance", row.distance, ours.distance),
        )
    ]
    return f"  {row.package:24} {'  '.join(times)}  value {row.value:.12g}, {_apart(row, ours)}"


def _ratio(theirs: list[float], ours: list[float]) -> str:
    return f"{Spread.of_ratios(theirs, ours).median:5.2f} x"


def _apart(row: Needed, ours: Needed) -> str:
    return f"{abs(row.value - ours.value):.1e} from ours"


def rows(found: Mapping[int, list[Needed]]) -> Iterator[Row | Missing]:
    """Every peer beside beholder, from features to the distance; and who is not there."""
    for name in PACKAGES:
        if not installed(name):
            yield Missing(area="metrics", what=f"FID beside {name}", reason="not installed")
    for count, needed in found.items():
        ours, *others = needed
        for row in others:
            yield Row(
                area="metrics",
                what=f"FID of {count:,} x {DIMS} features a side",
                against=row.package,
                ratio=Spread.of_ratios(row.whole, ours.whole),
                peer=named(row.package),
                agreement=f"{ours.value:.6g}, {_apart(row, ours)}",
                headline=row.package == "torch-fidelity" and count > DIMS,
            )


def _methods() -> dict[str, Method]:
    found = {
        OURS: Method(
            lambda x: Statistics.of(x, _NOWHERE) if len(x) > x.shape[1] else x,
            lambda a, b: float(
                from_statistics(a, b) if isinstance(a, Statistics) else from_features(a, b)
            ),
        )
    }
    peers = {
        "torch-fidelity": _torch_fidelity,
        "torchmetrics": _torchmetrics,
        "scipy": _sqrtm,
    }
    return found | {name: make() for name, make in peers.items() if installed(name)}


def _torch_fidelity() -> Method:
    from torch_fidelity import metric_fid

    return Method(
        lambda x: metric_fid.fid_features_to_statistics(torch.from_numpy(x)),
        lambda a, b: float(
            metric_fid.fid_statistics_to_metric(a, b, verbose=False)["frechet_inception_distance"]
        ),
    )


def _torchmetrics() -> Method:
    """Its sums of batches of 64, as `FrechetInceptionDistance.update` makes them."""
    from torchmetrics.image.fid import _compute_fid

    def moments(x: Array) -> tuple[torch.Tensor, torch.Tensor]:
        total = torch.zeros(DIMS, dtype=torch.float64)
        products = torch.zeros(DIMS, DIMS, dtype=torch.float64)
        for batch in torch.from_numpy(x).double().split(64):
            total += batch.sum(0)
            products += batch.t().mm(batch)
        mean = total / len(x)
        return mean, (products - len(x) * mean[:, None] * mean) / (len(x) - 1)

    return Method(moments, lambda a, b: float(_compute_fid(*a, *b)))


def _sqrtm() -> Method:
    """The formula of pytorch-fid, clean-fid and others: a square root of a full matrix."""
    from scipy import linalg

    def distance(a: Moments, b: Moments) -> float:
        (mean, covariance), (other_mean, other) = a, b
        root = linalg.sqrtm(covariance @ other)
        trace = np.trace(covariance) + np.trace(other) - 2 * np.trace(root.real)
        return float(np.square(mean - other_mean).sum() + trace)

    return Method(lambda x: (np.mean(x, axis=0), np.cov(x, rowvar=False)), distance)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--pictures", type=int, nargs="+", default=[10_000, 1000])
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--only", default="", help="peers whose name holds this")
    given = made.parse_args()
    torch.set_num_threads(1)
    found = run(tuple(given.pictures), given.rounds, given.only)
    first = heading("numpy", *PACKAGES, note="one thread, float64 sums")
    tell(given, "\n".join([first, *report(found)]), rows(found))


if __name__ == "__main__":
    main()
