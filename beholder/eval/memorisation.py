"""Whether generated pictures are copies of training pictures: nearest ones, and MiFID.

A generator that shows its training pictures again has a perfect FID. MiFID divides FID by the mean
cosine distance of generated pictures to their nearest training picture where that is small (Bai et
al., 2021, "On training sample memorization", section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
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
    exact_products,
    spans,
)
from beholder.eval._features import Array

Over = Literal["fake", "real"]
"""Whose pictures the distance is averaged over: the generated ones, as in the paper, or the real
ones with their nearest generated picture, as torchmetrics does."""
EPSILON = 0.1
_PAIRS = 1024


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nearest:
    """The nearest picture of the other set for each picture.

    Attributes:
        distances: 1 - |cos| (n,), from 0 (the same direction) to 1; NaN for features of all zeros.
        places: rows (n,) of the other set; -1 where there is no distance.
    """

    distances: Floats
    places: Places

    @property
    def mean(self) -> float:
        """Over the pictures with a distance; DataError if there is none."""
        known = np.isfinite(self.distances)
        if not known.any():
            raise DataError("all features of a side are zero, so none has a nearest picture")
        return float(self.distances[known].mean())


def nearest_pictures(
    pictures: Array | Tensor, among: Array | Tensor, *, block: int = 2048
) -> Nearest:
    """For each picture the nearest one of another set, by the cosine of their features.

    Float32 products choose the picture, up to their rounding; its distance is float64. Memory is a
    few blocks.

    Args:
        pictures: features (n, d), usually of generated pictures.
        among: features (m, d), usually of training pictures.
        block: rows of a block.

    Raises:
        DataError: if a set is not a finite matrix, or if they differ in width or device.
        ConfigError: if `block` is not positive.
    """
    checked_block(block)
    sets = checked_pair(pictures, among, ("pictures", "among"))
    with exact_products(*sets):
        zero = np.zeros(sets[0].shape[1], dtype=np.float32)
        rows, others = Rows(sets[0], zero), Rows(sets[1], zero)
        places = np.concatenate(
            [_nearest(_unit(rows, at), others, block) for at in spans(rows.size, block)]
        )
    places[(rows.norms == 0) | (others.norms[places] == 0)] = -1
    return Nearest(distances=_distances(rows, others, places), places=places)


def memorisation_penalty(distance: float, epsilon: float = EPSILON) -> float:
    """What FID is divided by: the mean distance where it is below `epsilon`, otherwise 1.

    Raises ConfigError if `epsilon` is not in (0, 1].
    """
    if not 0 < epsilon <= 1:
        raise ConfigError(f"epsilon must lie in (0, 1], got {epsilon}")
    return distance if distance < epsilon else 1.0


def _unit(rows: Rows, at: slice) -> Float[Tensor, "b d"]:
    """Rows of length 1, float32; those of zeros stay."""
    norms = torch.from_numpy(rows.norms[at] ** 0.5).to(rows.device)[:, None]
    return (rows.block(at) / norms.clamp(min=torch.finfo(torch.float32).tiny)).float()


def _nearest(left: Float[Tensor, "b d"], others: Rows, block: int) -> Places:
    best = torch.full((len(left),), -1.0, device=left.device)
    places = torch.zeros(len(left), dtype=torch.int64, device=left.device)
    for at in spans(others.size, block):
        cosines, where = (left @ _unit(others, at).T).abs_().max(dim=1)
        better = cosines > best
        best = torch.where(better, cosines, best)
        places = torch.where(better, where + at.start, places)
    found: Places = places.cpu().numpy()
    return found


def _distances(rows: Rows, others: Rows, places: Places) -> Floats:
    """1 - |cos| of each row and its nearest one, as half of |a ∓ b|²: near copies keep digits."""
    distances = np.full(rows.size, np.nan)
    known = np.flatnonzero(places >= 0)
    for at in spans(len(known), _PAIRS):
        a, b = rows.raw(known[at]), others.raw(places[known[at]])
        a /= np.linalg.norm(a, axis=1, keepdims=True)
        b /= np.linalg.norm(b, axis=1, keepdims=True)
        b *= np.where((a * b).sum(axis=1, keepdims=True) < 0, -1, 1)
        distances[known[at]] = np.square(a - b).sum(axis=1) / 2
    return distances
