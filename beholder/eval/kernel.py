"""Kernel distances of two sets: KID by subsets and over all pairs, and CMMD.

Both are squared maximum mean discrepancies, k̄(x, x') + k̄(y, y') - 2 k̄(x, y): KID with the kernel
(x·y/d + 1)³ and without a picture's pair with itself (Bińkowski et al., 2018, "Demystifying MMD
GANs", section 4), CMMD with a Gaussian one and with those pairs (Jayasumana et al., 2024,
"Rethinking FID", eq. 4). What is constant in a kernel cancels, so it is left out before anything is
rounded: what remains is as small as the distance itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.eval._blocks import (
    Floats,
    Places,
    Rows,
    checked_block,
    checked_pair,
    common_rows,
    exact_products,
    products,
    spans,
)
from beholder.eval._features import Array
from beholder.eval._jackknife import Deleted, Jackknife, groups_of, jackknife

Kernel = Callable[[Tensor, Tensor], Tensor]
"""Blocks (b, d) and (c, d), float64 -> kernel values (b, c), float64, less a constant."""
_SIDES = ("real", "fake")


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """A squared discrepancy over all pairs; unbiased ones may be a little below 0.

    Attributes:
        value: of the two sets.
        jackknife: how sure it is; None if no groups were asked for, or a side has too few rows.
        groups: into which the rows of each side were dealt for it.
        real, fake: rows of each side.
    """

    value: float
    jackknife: Jackknife | None
    groups: tuple[int, int]
    real: int
    fake: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubsetKID:
    """KID of random subsets, as it is published.

    Attributes:
        values: of each subset, (subsets,).
        size: rows of a subset.
    """

    values: Floats
    size: int

    @property
    def mean(self) -> float:
        """Over the subsets."""
        return float(self.values.mean())

    @property
    def deviation(self) -> float:
        """Over the subsets, ddof 0: how much a subset varies, not how sure the mean is."""
        return float(self.values.std())


def kid(
    real: Array | Tensor,
    fake: Array | Tensor,
    *,
    groups: int = 10,
    seed: int = 0,
    block: int = 1024,
) -> Discrepancy:
    """KID over all pairs: what the mean over subsets estimates, without its noise.

    Everything is float64, of rows moved to their common mean; memory is a few blocks.

    Args:
        real: features (n, d) of real pictures.
        fake: features (m, d) of generated pictures. Tensors are worked on where they are.
        groups: of the jackknife over the pictures of each side; 0 for no interval.
        seed: of the dealing into groups.
        block: rows of a block.

    Raises:
        DataError: if a set is not a finite matrix of 2 or more rows, or if they differ in width.
        ConfigError: if `groups` or `block` is out of range.
    """
    sets = checked_pair(real, fake, _SIDES, least=2)
    with exact_products(*sets):
        rows = common_rows(*sets)
        sums = _Sums(
            rows, _cubic(rows[0].centre, torch.float64), groups, seed, checked_block(block)
        )
        return sums.discrepancy(with_self=False)


def kid_subsets(
    real: Array | Tensor,
    fake: Array | Tensor,
    *,
    subsets: int = 100,
    size: int = 1000,
    seed: int = 2020,
    shrink: bool = False,
) -> SubsetKID:
    """KID of random subsets; by default those that torch-fidelity draws.

    Products are float32, of rows moved to their common mean, and everything else is float64. What
    that costs is about a millionth of the spread over subsets; kernels in float32 lose far more.

    Args:
        real: features (n, d) of real pictures.
        fake: features (m, d) of generated pictures. Tensors are worked on where they are.
        subsets: how many are drawn.
        size: rows of a subset, drawn without replacement from each side.
        seed: of the draws, real side first.
        shrink: take subsets as large as the smaller side if that has fewer than `size` rows, as
            clean-fid and StyleGAN do; the deviation is then that of smaller subsets.

    Raises:
        DataError: if a side has fewer rows than a subset, or is not a finite matrix.
        ConfigError: if `subsets` or `size` is too small.
    """
    _check_subsets(subsets, size)
    sets = checked_pair(real, fake, _SIDES, least=2)
    least = min(len(values) for values in sets)
    if least < size and not shrink:
        raise DataError(
            f"subsets of {size} rows cannot be drawn from {least}; give more pictures, a smaller "
            "size, or shrink=True, and say so beside the figure"
        )
    size = min(size, least)
    with exact_products(*sets):
        rows, others = common_rows(*sets)
        kernel = _cubic(rows.centre, torch.float32)
        draws = np.random.RandomState(seed)  # published figures are of its draws
        values = [
            _unbiased(
                kernel,
                rows.chosen(draws.choice(rows.size, size, replace=False)),
                others.chosen(draws.choice(others.size, size, replace=False)),
            )
            for _ in range(subsets)
        ]
    return SubsetKID(values=np.array(values), size=size)


def cmmd(
    real: Array | Tensor,
    fake: Array | Tensor,
    *,
    sigma: float = 10.0,
    scale: float = 1000.0,
    groups: int = 10,
    seed: int = 0,
    block: int = 1024,
) -> Discrepancy:
    """CMMD of CLIP embeddings, biased as published, in float64.

    The kernel is 0.98 or more between vectors of length 1, and float32 keeps four digits of what is
    left of it in a distance; expm1 keeps them all.

    Args:
        real: image embeddings (n, d) of real pictures, of any length; they are normalised.
        fake: image embeddings (m, d) of generated pictures.
        sigma: width of the kernel, gamma = 1 / (2 sigma²).
        scale: what the discrepancy is multiplied by.
        groups: of the jackknife over the pictures of each side; 0 for no interval.
        seed: of the dealing into groups.
        block: rows of a block.

    Raises:
        DataError: if a set is not a finite matrix or has a row of zeros, or if they differ in
            width.
        ConfigError: if `sigma`, `scale`, `groups` or `block` is out of range.
    """
    for name, value in (("sigma", sigma), ("scale", scale)):
        if not value > 0:
            raise ConfigError(f"{name} must be positive, got {value}")
    sets = checked_pair(real, fake, _SIDES)
    rows = tuple(_unit_rows(values, name) for values, name in zip(sets, _SIDES, strict=True))
    gamma = 1 / (2 * sigma**2)
    with exact_products(*sets):
        sums = _Sums((rows[0], rows[1]), _gaussian(gamma), groups, seed, checked_block(block))
        return sums.discrepancy(with_self=True, scale=scale)


def _cubic(centre: npt.NDArray[np.float32], dtype: torch.dtype) -> Kernel:
    """(x·y/d + 1)³ - A³ of rows minus a centre c, where A = c·c/d + 1.

    x·y/d + 1 is A plus the small t = (c·(x - c) + c·(y - c) + (x - c)·(y - c)) / d, of which only
    the last part is a product in `dtype`.
    """
    wide = centre.astype(np.float64)
    alpha = float(wide @ wide) / len(wide) + 1

    def kernel(left: Float[Tensor, "b d"], right: Float[Tensor, "c d"]) -> Float[Tensor, "b c"]:
        middle = torch.from_numpy(wide).to(left.device)
        first = left.to(dtype)
        t = products(first, first if right is left else right.to(dtype)).double()
        t += (left @ middle)[:, None]
        t += (right @ middle)[None]
        t /= len(wide)
        return ((t + 3 * alpha).mul_(t).add_(3 * alpha**2)).mul_(t)

    return kernel


def _gaussian(gamma: float) -> Kernel:
    """exp(-gamma |x - y|²) - 1 of vectors of length 1."""

    def kernel(left: Float[Tensor, "b d"], right: Float[Tensor, "c d"]) -> Float[Tensor, "b c"]:
        x = left / left.norm(dim=1, keepdim=True)
        y = x if right is left else right / right.norm(dim=1, keepdim=True)
        return products(x, y).sub_(1).mul_(2 * gamma).expm1_()

    return kernel


def _unit_rows(values: Array | Tensor, name: str) -> Rows:
    rows = Rows(values, np.zeros(values.shape[1], dtype=np.float32))
    empty = np.flatnonzero(rows.norms == 0)
    if len(empty):
        raise DataError(f"{name} has {len(empty)} rows of zeros, the first is row {empty[0]}")
    return rows


def _unbiased(kernel: Kernel, x: Float[Tensor, "n d"], y: Float[Tensor, "n d"]) -> float:
    """Squared discrepancy of one subset: pairs with oneself left out, the cross mean over all."""
    same = sum(_off_diagonal(kernel(side, side)) for side in (x, y))
    return float(same) / (len(x) * (len(x) - 1)) - 2 * float(kernel(x, y).mean())


def _off_diagonal(values: Float[Tensor, "n n"]) -> float:
    return float(values.sum() - values.diagonal().sum())


class _Sums:
    """Kernel sums of all pairs of groups, from which leaving a group out is a subtraction.

    Attributes:
        within: for each side, sums (groups, groups) over its pairs of rows.
        selves: for each side, sums (groups,) over the pairs of a row with itself.
        across: sums (groups, groups) over pairs of a real and a fake row.
        sizes: for each side, rows of each group.
    """

    def __init__(
        self, rows: tuple[Rows, Rows], kernel: Kernel, groups: int, seed: int, block: int
    ) -> None:
        self._kernel, self._block = kernel, block
        dealt = [_dealt(side.size, groups, seed + at) for at, side in enumerate(rows)]
        self.sizes = [shares.sum(axis=0) for shares in dealt]
        self.within: list[Floats] = []
        self.selves: list[Floats] = []
        for side, shares in zip(rows, dealt, strict=True):
            within, selves = self._inner(side, torch.from_numpy(shares).to(side.device))
            self.within.append(within)
            self.selves.append(selves)
        self.across = self._outer(rows, dealt)

    def discrepancy(self, *, with_self: bool, scale: float = 1.0) -> Discrepancy:
        value = scale * self._value(with_self)
        deleted = [
            Deleted(
                np.array([scale * self._value(with_self, (side, group)) for group in range(count)]),
                self.sizes[side].astype(np.int64),
            )
            for side in (0, 1)
            if (count := len(self.sizes[side])) > 1 and self._divides(side, with_self)
        ]
        return Discrepancy(
            value=value,
            jackknife=jackknife(value, deleted) if len(deleted) == 2 else None,
            groups=(len(self.sizes[0]), len(self.sizes[1])),
            real=int(self.sizes[0].sum()),
            fake=int(self.sizes[1].sum()),
        )

    def _divides(self, side: int, with_self: bool) -> bool:
        """Whether enough rows are left without the largest group."""
        return bool(self.sizes[side].sum() - self.sizes[side].max() >= (1 if with_self else 2))

    def _value(self, with_self: bool, without: tuple[int, int] | None = None) -> float:
        """The discrepancy, without a group of one side if one is named."""
        keep = [np.ones(len(sizes), dtype=np.float64) for sizes in self.sizes]
        if without:
            keep[without[0]][without[1]] = 0
        counts = [float(kept @ sizes) for kept, sizes in zip(keep, self.sizes, strict=True)]
        total = -2 * float(keep[0] @ self.across @ keep[1]) / (counts[0] * counts[1])
        for kept, within, selves, count in zip(keep, self.within, self.selves, counts, strict=True):
            if with_self:
                total += float(kept @ within @ kept) / count**2
            else:
                total += float(kept @ within @ kept - kept @ selves) / (count * (count - 1))
        return total

    def _inner(self, rows: Rows, shares: Tensor) -> tuple[Floats, Floats]:
        """Sums within one side, each pair of blocks once."""
        within = torch.zeros(shares.shape[1], shares.shape[1], dtype=torch.float64).to(shares)
        selves = torch.zeros(shares.shape[1], dtype=torch.float64).to(shares)
        for at in spans(rows.size, self._block):
            left = rows.block(at, torch.float64)
            values = self._kernel(left, left)
            selves += values.diagonal() @ shares[at]
            within += shares[at].T @ values @ shares[at]
            for there in spans(rows.size, self._block):
                if there.start > at.start:
                    values = self._kernel(left, rows.block(there, torch.float64))
                    both = shares[at].T @ values @ shares[there]
                    within += both + both.T
        return within.cpu().numpy(), selves.cpu().numpy()

    def _outer(self, rows: tuple[Rows, Rows], dealt: list[Floats]) -> Floats:
        first, second = (
            torch.from_numpy(shares).to(side.device)
            for side, shares in zip(rows, dealt, strict=True)
        )
        across = torch.zeros(first.shape[1], second.shape[1], dtype=torch.float64).to(first)
        for at in spans(rows[0].size, self._block):
            left = rows[0].block(at, torch.float64)
            for there in spans(rows[1].size, self._block):
                values = self._kernel(left, rows[1].block(there, torch.float64))
                across += first[at].T @ values @ second[there]
        sums: Floats = across.cpu().numpy()
        return sums


def _dealt(size: int, groups: int, seed: int) -> Floats:
    """Which group each row is in, as ones in (size, groups); one group if there are none."""
    dealt: list[Places] = groups_of(size, groups, seed) or [np.arange(size)]
    shares = np.zeros((size, len(dealt)))
    for group, members in enumerate(dealt):
        shares[members, group] = 1
    return shares


def _check_subsets(subsets: int, size: int) -> None:
    if subsets < 1:
        raise ConfigError(f"subsets must be 1 or more, got {subsets}")
    if size < 2:
        raise ConfigError(f"a subset must have 2 or more rows, got {size}")
