"""The Fréchet distance in 40 digits, for a few values."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

from beholder.eval._features import Array
from beholder.eval._origin import Origin

ORIGIN = Origin(
    extractor="tiny", weights="0123456789abcdef", layer="pool", resize="tf1", decode="alpha=white"
)


def exact_distance(first: Array, second: Array, ddof: int = 1) -> float:
    """Of features (n, d) and (m, d), by the symmetric square root of the first covariance."""
    with mpmath.workdps(40):
        (mean, covariance), (other_mean, other) = (_moments(x, ddof) for x in (first, second))
        values, vectors = mpmath.eigsy(covariance)
        root = vectors * mpmath.diag([mpmath.sqrt(max(v, 0)) for v in values]) * vectors.T
        coupled = mpmath.eigsy(root * other * root, eigvals_only=True)
        trace = sum(mpmath.sqrt(max(v, 0)) for v in coupled)
        apart = sum((a - b) ** 2 for a, b in zip(mean, other_mean, strict=True))
        size = range(covariance.rows)
        return float(apart + sum(covariance[i, i] + other[i, i] for i in size) - 2 * trace)


def _moments(features: Array, ddof: int) -> tuple[Any, Any]:
    exact = mpmath.matrix(features.astype(np.float64).tolist())
    rows, dims = exact.rows, exact.cols
    mean = [sum(exact[i, j] for i in range(rows)) / rows for j in range(dims)]
    centred = mpmath.matrix(rows, dims)
    for i in range(rows):
        for j in range(dims):
            centred[i, j] = exact[i, j] - mean[j]
    return mean, centred.T * centred / (rows - ddof)
