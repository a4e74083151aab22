"""Neighbours by brute force: every pair in float64, nothing clever."""

import numpy as np

from beholder.eval._blocks import Floats
from beholder.eval._features import Array


def distances(first: Array, second: Array) -> Floats:
    wide, other = first.astype(np.float64), second.astype(np.float64)
    return np.stack([np.square(row - other).sum(axis=1) for row in wide])


def radii(values: Array, k: int) -> Floats:
    own = distances(values, values)
    np.fill_diagonal(own, np.inf)
    return np.sort(own, axis=1)[:, k - 1]


def manifold_sets(
    rows: int, others: int, width: int, offset: float = 0, copies: int = 0, seed: int = 0
) -> tuple[Array, Array]:
    """Two samples near one 16-dimensional plane; `copies` rows are repeated in and across them."""
    draws = np.random.default_rng(seed)
    plane = draws.normal(size=(16, width))
    real = draws.normal(size=(rows, 16)) @ plane + 0.3 * draws.normal(size=(rows, width))
    fake = 0.95 * draws.normal(size=(others, 16)) @ plane + 0.3 * draws.normal(size=(others, width))
    if copies:
        real[:copies] = fake[:copies] = real[0]
        fake[copies : 2 * copies] = real[copies : 2 * copies]
        fake[2 * copies : 3 * copies] = fake[-1]
    return (real + offset).astype(np.float32), (fake + offset).astype(np.float32)
