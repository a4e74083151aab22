"""How judges' scores become probabilities, and which pairs of a prompt are worth learning from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Int

from beholder.calibration import Curve, certainty
from beholder.eval._features import Array

Floats = npt.NDArray[np.float64]


def all_pairs(pictures: int) -> Int[Array, "pairs 2"]:
    """Rows (i, j), i < j, of every pair of so many pictures."""
    return np.stack(np.triu_indices(pictures, 1), axis=1)


def spread(groups: Sequence[Float64[Array, " _"]]) -> float:
    """Root of the mean squared margin over all pairs within the groups; 0 if all scores are equal.

    As a temperature it makes a typical margin sigmoid(1) = 0.73 sure.
    """
    total = sum(len(s) * float(np.square(s - s.mean()).sum()) for s in groups)
    pairs = sum(len(s) * (len(s) - 1) / 2 for s in groups)
    return float(np.sqrt(total / pairs)) if pairs else 0.0


def joint_probability(
    margins: Float64[Array, "pairs c"], curves: Sequence[Curve]
) -> tuple[Float64[Array, " pairs"], npt.NDArray[np.bool_]]:
    """The mean of c judges' probabilities for the first picture, and where two of them disagree.

    They disagree where one says that the first is better and another that the second is; a judge
    that sees a tie disagrees with nobody.
    """
    said = np.stack([c.decided(margins[:, k]) for k, c in enumerate(curves)], axis=1)
    opposite: npt.NDArray[np.bool_] = np.any(said > 0.5, axis=1) & np.any(said < 0.5, axis=1)
    return said.mean(axis=1), opposite


def most_telling(sureness: Float64[Array, " pairs"], count: int) -> Int[Array, " k"]:
    """Rows of at most `count` pairs from the least to the most certain, evenly over their order.

    Near pairs alone would be noise and far ones alone would teach nothing of what lies between.
    """
    order = np.argsort(sureness, kind="stable")
    if count >= len(order):
        return np.sort(order)
    at = (np.arange(count) + 0.5) * len(order) / count
    return np.sort(order[at.astype(np.int64)])


def sureness(
    answers: Sequence[Float64[Array, " pairs"]],
) -> Float64[Array, " pairs"]:
    """The mean |2p - 1| of the answers of each pair; answers that are NaN do not count."""
    table = np.stack([certainty(p) for p in answers])
    known = np.isfinite(table)
    total = np.where(known, table, 0.0).sum(axis=0)
    mean: Floats = total / np.maximum(known.sum(axis=0), 1)
    return mean


def is_swapped(first: str, second: str, seed: int) -> bool:
    """Whether the pair stands the other way round: by its keys, so that neither side wins more."""
    digest = hashlib.blake2b(f"{seed} {first} {second}".encode(), digest_size=1).digest()
    return bool(digest[0] & 1)
