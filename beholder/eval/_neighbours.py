"""Distance of each row to its k-th neighbour, and which rows lie inside which balls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from beholder.eval._blocks import (
    Floats,
    Places,
    Rows,
    exact_distances,
    spans,
    squared_distances,
)

Border = Literal["closed", "open"]
"""Whether a row exactly on the border of a ball lies inside it (`<=`) or not (`<`)."""
_SPARE = 4  # neighbours kept beyond the last that counts, to see that none was missed
_GROUP = 16  # columns of which only the minimum is looked at first
_CROWDED = 1 / 64  # share of unsure pairs above which a block is computed again in float64


def squared_radii(rows: Rows, ks: Sequence[int], block: int) -> Floats:
    """Squared distances (n, len(ks)) of each row to its k-th nearest other row.

    Equal to what float64 says of every pair: candidates come from float32 blocks, each pair of
    blocks computed once, and those too close to tell apart are decided again.
    """
    kept = min(max(ks) + _SPARE, rows.size - 1)
    found = _nearest(rows, kept, block)
    radii, sure = _decided(rows, np.arange(rows.size), found, ks, rows.slack())
    unsure = np.flatnonzero(~sure)
    for at in spans(len(unsure), block):
        radii[unsure[at]] = _radii_again(rows, unsure[at], ks, block)
    return radii


@dataclass(frozen=True, slots=True)
class _Found:
    """The nearest rows found: squared distances, ascending, and where they stand, both (n, m)."""

    squared: Floats
    places: Places


class _Best:
    """The running m nearest of each row."""

    def __init__(self, size: int, kept: int, device: torch.device, dtype: torch.dtype) -> None:
        self.squared = torch.full((size, kept), torch.inf, device=device, dtype=dtype)
        self.places = torch.zeros((size, kept), device=device, dtype=torch.int64)

    def merge(self, at: slice, distances: Float[Tensor, "b c"], start: int) -> None:
        """Take in distances of the rows `at` to the rows from `start` on."""
        kept = self.squared.shape[1]
        near, where = _smallest(distances, min(kept, distances.shape[1]))
        squared = torch.cat([self.squared[at], near], dim=1)
        places = torch.cat([self.places[at], where + start], dim=1)
        self.squared[at], order = squared.topk(kept, dim=1, largest=False)
        self.places[at] = places.gather(1, order)

    def found(self) -> _Found:
        return _Found(self.squared.double().cpu().numpy(), self.places.cpu().numpy())


def _smallest(distances: Float[Tensor, "b c"], kept: int) -> tuple[Tensor, Tensor]:
    """The `kept` smallest of each row and their columns, (b, kept) each.

    They lie in the `kept` groups of columns with the smallest minima, so only those are sorted.
    """
    width = distances.shape[1]
    groups = width // _GROUP
    if groups <= kept or width % _GROUP:
        near, columns = distances.topk(kept, dim=1, largest=False, sorted=False)
        return near, columns
    minima = _minima(distances, groups)
    chosen = minima.topk(kept, dim=1, largest=False, sorted=False).indices
    steps = torch.arange(0, width, groups, device=chosen.device)
    columns = (chosen[..., None] + steps).flatten(1)
    near, order = distances.gather(1, columns).topk(kept, dim=1, largest=False, sorted=False)
    return near, columns.gather(1, order)


def _minima(distances: Float[Tensor, "b c"], groups: int) -> Float[Tensor, "b g"]:
    """The minimum of each group of columns; a group is every so many-th column."""
    minima: Tensor
    if distances.is_contiguous():
        minima = distances.unflatten(1, (_GROUP, groups)).amin(1)
    else:  # forty times as fast as over the rows of a transposed block
        minima = distances.T.unflatten(0, (_GROUP, groups)).amin(0).T
    return minima


def _nearest(rows: Rows, kept: int, block: int) -> _Found:
    """The `kept` nearest other rows of every row by float32, over half of the pairs of blocks."""
    best = _Best(rows.size, kept, rows.device, torch.float32)
    norms = torch.from_numpy(rows.norms).float().to(rows.device)
    for at in spans(rows.size, block):
        left = rows.block(at)
        for to in spans(rows.size - at.start, block):
            there = slice(to.start + at.start, to.stop + at.start)
            right = left if there == at else rows.block(there)
            distances = squared_distances(left, right, norms[at], norms[there])
            if there == at:
                distances.fill_diagonal_(torch.inf)
            else:
                best.merge(there, distances.T, at.start)
            best.merge(at, distances, there.start)
    return best.found()


def _decided(
    rows: Rows, places: Places, found: _Found, ks: Sequence[int], slack: Floats
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Squared radii (b, len(ks)) of the rows at `places`, and for which rows they are certain.

    The k-th smallest lies between the k-th smallest of all lower and of all upper bounds; only
    neighbours whose bounds meet that stretch are measured in float64.
    """
    error = slack[places][:, None] + slack[found.places]
    low, high = found.squared - error, found.squared + error
    lower = [np.partition(low, k - 1, axis=1)[:, k - 1, None] for k in ks]
    upper = [np.partition(high, k - 1, axis=1)[:, k - 1, None] for k in ks]
    meets = [(low <= up) & (high >= down) for down, up in zip(lower, upper, strict=True)]
    exact = np.full(low.shape, np.inf)
    i, j = np.nonzero(np.logical_or.reduce(meets))
    exact[i, j] = exact_distances(rows, places[i], rows, found.places[i, j])
    radii = np.empty((len(places), len(ks)))
    for column, k in enumerate(ks):
        nearer = (high < lower[column]).sum(axis=1)
        ordered = np.sort(np.where(meets[column], exact, np.inf), axis=1)
        radii[:, column] = np.take_along_axis(ordered, (k - 1 - nearer)[:, None], axis=1)[:, 0]
    return radii, _complete(rows, places, found, slack) >= radii.max(axis=1)


def _complete(rows: Rows, places: Places, found: _Found, slack: Floats) -> Floats:
    """The least squared distance (b,) that any row that was not kept can have."""
    if found.squared.shape[1] == rows.size - 1:
        return np.full(len(places), np.inf)
    least: Floats = np.maximum(found.squared[:, -1] - slack[places] - slack.max(), 0)
    return least


def _radii_again(rows: Rows, places: Places, ks: Sequence[int], block: int) -> Floats:
    """Squared radii of a few rows from float64 products, or from differences where these fail."""
    left = rows.chosen(places)
    norms = (left * left).sum(1)
    best = _Best(len(places), min(max(ks) + _SPARE, rows.size - 1), rows.device, torch.float64)
    for at in spans(rows.size, block):
        right = rows.block(at, torch.float64)
        distances = squared_distances(left, right, norms, (right * right).sum(1))
        own = np.flatnonzero((places >= at.start) & (places < at.stop))
        distances[own, places[own] - at.start] = torch.inf
        best.merge(slice(0, len(places)), distances, at.start)
    radii, sure = _decided(rows, places, best.found(), ks, rows.slack(torch.float64))
    for row in np.flatnonzero(~sure):
        others = np.delete(np.arange(rows.size), places[row])
        squared = exact_distances(rows, np.full(len(others), places[row]), rows, others)
        radii[row] = np.sort(squared)[np.array(ks) - 1]
    return radii


class Pair:
    """A block of one set beside a block of another, and the distances between their rows."""

    def __init__(self, first: Rows, at: slice, second: Rows, there: slice, left: Tensor) -> None:
        self._first, self._at = first, at
        self._second, self._there = second, there
        self._slack = (first.slack()[at], second.slack()[there])
        norms = [
            torch.from_numpy(norms).float().to(first.device)
            for norms in (first.norms[at], second.norms[there])
        ]
        self._squared = squared_distances(left, second.block(there), *norms)
        self._wide: Tensor | None = None

    def inside(
        self, squared_radii: Floats, axis: Literal[0, 1], border: Border
    ) -> Bool[Tensor, "b c"]:
        """Which rows of the other block each ball holds; the balls are those of `axis`."""
        distances, slack = self._squared, self._slack
        sure, unsure = _compared(distances, slack, squared_radii, axis)
        if len(unsure[0]) > distances.numel() * _CROWDED:
            distances, slack = self._widened()
            sure, unsure = _compared(distances, slack, squared_radii, axis)
        i, j = (places.cpu().numpy() for places in unsure)
        exact = exact_distances(
            self._first, i + self._at.start, self._second, j + self._there.start
        )
        radii = squared_radii[i if axis == 0 else j]
        holds = exact <= radii if border == "closed" else exact < radii
        sure[unsure] = torch.from_numpy(holds).to(sure.device)
        return sure

    def _widened(self) -> tuple[Tensor, tuple[Floats, Floats]]:
        """The distances in float64 with their error, computed once."""
        sides = ((self._first, self._at), (self._second, self._there))
        if self._wide is None:
            left, right = (rows.block(at, torch.float64) for rows, at in sides)
            norms = (left * left).sum(1), (right * right).sum(1)
            self._wide = squared_distances(left, right, *norms)
        first, second = (rows.slack(torch.float64)[at] for rows, at in sides)
        return self._wide, (first, second)


def _compared(
    distances: Float[Tensor, "b c"],
    slack: tuple[Floats, Floats],
    squared_radii: Floats,
    axis: Literal[0, 1],
) -> tuple[Bool[Tensor, "b c"], tuple[Int[Tensor, "pairs"], Int[Tensor, "pairs"]]]:
    """Which pairs are inside as far as rounding can tell, and which it cannot tell."""
    margin = slack[axis] + slack[1 - axis].max()
    inner, outer = (_along(squared_radii + m, distances, axis) for m in (-margin, margin))
    inside = _below(distances, inner)
    i, j = _places(_below(distances, outer).logical_xor_(inside))
    radii = torch.from_numpy(squared_radii).to(distances.device)[i if axis == 0 else j]
    errors = [torch.from_numpy(values).to(distances.device) for values in slack]
    gap = distances[i, j].double() - radii
    open_still = gap.abs() <= errors[0][i] + errors[1][j]
    inside[i, j] = gap < 0
    return inside, (i[open_still], j[open_still])


def _below(distances: Float[Tensor, "b c"], limits: Tensor) -> Bool[Tensor, "b c"]:
    if distances.device.type == "cpu":
        return torch.from_numpy(distances.numpy() <= limits.numpy())  # four times as fast as torch
    return distances <= limits


def _places(flags: Bool[Tensor, "b c"]) -> tuple[Tensor, Tensor]:
    """Rows and columns of what is true."""
    if flags.device.type == "cpu":
        flat = torch.from_numpy(np.flatnonzero(flags.numpy()))  # seven times as fast as torch
    else:
        flat = flags.flatten().nonzero()[:, 0]
    return flat // flags.shape[1], flat % flags.shape[1]


def _along(values: Floats, distances: Tensor, axis: Literal[0, 1]) -> Tensor:
    """One value a row or a column, ready to be compared with all of `distances`."""
    vector = torch.from_numpy(values).to(distances)
    return vector[:, None] if axis == 0 else vector[None]
