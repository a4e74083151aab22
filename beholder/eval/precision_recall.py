"""Precision and recall, density and coverage: which pictures lie among those of the other set.

Each set is taken for the union of balls around its pictures, as wide as the distance to the k-th
nearest picture of the same set. Precision is the share of generated pictures inside a ball of a
real one, recall the share of real pictures inside a ball of a generated one (Kynkäänniemi et al.,
2019, "Improved precision and recall", eq. 1 and 2). Density counts how many real balls hold each
generated picture, over k; coverage is the share of real balls that hold one (Naeem et al., 2020,
"Reliable fidelity and diversity metrics", eq. 3 and 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.eval._blocks import (
    Floats,
    Rows,
    checked_block,
    checked_pair,
    common_rows,
    exact_products,
    spans,
)
from beholder.eval._bootstrap import Interval, percentile_interval, resampled_sums
from beholder.eval._features import Array
from beholder.eval._neighbours import Border, Pair, squared_radii

Flags = npt.NDArray[np.bool_]
NAMES = ("precision", "recall", "density", "coverage")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbourhoods:
    """Which pictures lie in the neighbourhoods of the other set.

    Attributes:
        precise: for each generated picture, whether a real ball holds it, (m,).
        recalled: for each real picture, whether a generated ball holds it, (n,).
        balls: for each generated picture, how many real balls of `density_k` hold it, (m,).
        covered: for each real picture, whether its ball of `density_k` holds a generated one, (n,).
        k: neighbours of precision and recall.
        density_k: neighbours of density and coverage.
    """

    precise: Flags
    recalled: Flags
    balls: npt.NDArray[np.int64]
    covered: Flags
    k: int
    density_k: int

    @property
    def precision(self) -> float:
        """Share of generated pictures that look like real ones, in [0, 1]."""
        return float(self.precise.mean())

    @property
    def recall(self) -> float:
        """Share of real pictures that could have been generated, in [0, 1]."""
        return float(self.recalled.mean())

    @property
    def density(self) -> float:
        """Mean of `balls` over `density_k`; about 1 for two samples of one distribution."""
        return float(self.balls.mean() / self.density_k)

    @property
    def coverage(self) -> float:
        """Share of real pictures with a generated one nearby, in [0, 1]."""
        return float(self.covered.mean())

    def samples(self) -> dict[str, Floats]:
        """What each figure is the mean of: one value a row of the side that it is over."""
        return {
            "precision": self.precise.astype(np.float64),
            "recall": self.recalled.astype(np.float64),
            "density": self.balls / self.density_k,
            "coverage": self.covered.astype(np.float64),
        }

    def intervals(self, draws: int = 1000, seed: int = 0) -> dict[str, Interval]:
        """95 % bootstrap intervals over the pictures that are counted, the balls held as they are.

        They do not know that other pictures would have made other balls. Raises ConfigError if
        `draws` is not positive.
        """
        return {
            name: percentile_interval(
                resampled_sums(values[:, None], draws, seed)[:, 0] / len(values)
            )
            for name, values in self.samples().items()
        }


def precision_recall(
    real: Array | Tensor,
    fake: Array | Tensor,
    *,
    k: int = 3,
    density_k: int = 5,
    border: str = "closed",
    density_border: str = "open",
    block: int = 2048,
) -> Neighbourhoods:
    """Precision, recall, density and coverage of generated pictures, from one pass over all pairs.

    The flags are those of float64 differences for every pair: float32 products of centred rows
    decide, and what they cannot tell apart is computed again. Beyond the features themselves
    memory is a few blocks; arrays may be memory-mapped files.

    Args:
        real: features (n, d) of real pictures.
        fake: features (m, d) of generated pictures. Tensors are worked on where they are.
        k: neighbours of precision and recall; 3 in the paper.
        density_k: neighbours of density and coverage; 5 in the paper.
        border: "closed" counts a picture exactly on the border of a ball as inside, as the
            authors' code does; "open" does not.
        density_border: the same for density and coverage, whose authors' code is open.
        block: rows of a block; the result does not depend on it.

    Raises:
        DataError: if a set is not a finite matrix or has no more than k rows, or if they differ in
            width or device.
        ConfigError: if a number is not positive or a border unknown.
    """
    _check_counts(k, density_k)
    edge, density_edge = _checked_border(border), _checked_border(density_border)
    checked_block(block)
    sets = checked_pair(real, fake, ("real", "fake"))
    for name, values in zip(("real", "fake"), sets, strict=True):
        _check_size(name, len(values), max(k, density_k))
    with exact_products(*sets):
        rows, others = common_rows(*sets)
        found = _Membership(rows, others)
        found.fill((k, density_k), (edge, density_edge), block)
    return Neighbourhoods(
        precise=found.precise,
        recalled=found.recalled,
        balls=found.balls,
        covered=found.covered,
        k=k,
        density_k=density_k,
    )


class _Membership:
    """Flags of both sides, filled in block by block."""

    def __init__(self, real: Rows, fake: Rows) -> None:
        self._real, self._fake = real, fake
        self.precise = np.zeros(fake.size, dtype=np.bool_)
        self.recalled = np.zeros(real.size, dtype=np.bool_)
        self.balls = np.zeros(fake.size, dtype=np.int64)
        self.covered = np.zeros(real.size, dtype=np.bool_)

    def fill(self, ks: tuple[int, int], borders: tuple[Border, Border], block: int) -> None:
        """Go over all pairs; numbers and borders are those of precision, then of density."""
        real_radii = squared_radii(self._real, ks, block)
        fake_radii = squared_radii(self._fake, ks[:1], block)[:, 0]
        for at in spans(self._real.size, block):
            left = self._real.block(at)
            for there in spans(self._fake.size, block):
                pair = Pair(self._real, at, self._fake, there, left)
                held = pair.inside(real_radii[at, 0], 0, borders[0])
                self.precise[there] |= _any(held, 0)
                holding = pair.inside(fake_radii[there], 1, borders[0])
                self.recalled[at] |= _any(holding, 1)
                dense = pair.inside(real_radii[at, 1], 0, borders[1])
                self.balls[there] += dense.sum(0, dtype=torch.int32).cpu().numpy()
                self.covered[at] |= _any(dense, 1)


def _any(holds: Tensor, axis: int) -> Flags:
    flags: Flags = holds.view(torch.uint8).amax(axis).cpu().numpy().astype(np.bool_)
    return flags  # as bytes: `any` is 20 times slower on the CPU


def _check_counts(k: int, density_k: int) -> None:
    for name, value in (("k", k), ("density_k", density_k)):
        if value < 1:
            raise ConfigError(f"{name} must be 1 or more neighbours, got {value}")


def _checked_border(border: str) -> Border:
    if border not in get_args(Border):
        raise ConfigError(f"unknown border {border!r}; it is 'closed' (<=) or 'open' (<)")
    return cast("Border", border)


def _check_size(name: str, size: int, k: int) -> None:
    if size <= k:
        raise DataError(
            f"{name} has {size} rows, so none has {k} neighbours; give {k + 1} or more, or a "
            "smaller k and density_k"
        )
