"""How strong each checkpoint is believed to be, and what a further answer would change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from beholder.annotation.asking.information import expected_weight, sigmoid

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_ROUNDS = 50
_LONGEST_STEP = 2.0  # logits; keeps Newton's method from overshooting


@dataclass(frozen=True, slots=True)
class Strengths:
    """A Gaussian belief about Bradley-Terry strengths in logits.

    Attributes:
        mean: (m,)
        covariance: (m, m)
    """

    mean: Floats
    covariance: Floats

    def margins(self, pairs: Integers) -> tuple[Floats, Floats]:
        """Mean and variance of s_i - s_j of pairs (k, 2)."""
        i, j = pairs.T
        c = self.covariance
        return self.mean[i] - self.mean[j], np.maximum(c[i, i] + c[j, j] - 2 * c[i, j], 0.0)

    def after(self, i: int, j: int) -> Strengths:
        """The belief after one more answer to (i, j), by its expected Fisher information."""
        mean, variance = self.margins(np.array([[i, j]]))
        weight = expected_weight(mean, variance)
        reach = self.covariance[:, i] - self.covariance[:, j]
        known = weight * np.outer(reach, reach) / (1 + weight * variance)
        return Strengths(self.mean, self.covariance - known)


def posterior(wins: Floats, centre: Floats, spread: float) -> Strengths:
    """Laplace's approximation at the most probable strengths.

    The prior is s_i ~ Normal(centre_i, spread^2); `wins` (m, m) counts how often i beat j, ties
    half, and P(i beats j) = sigma(s_i - s_j) (Bradley and Terry, 1952).
    """
    met = wins + wins.T
    strength = centre.copy()
    for _ in range(_ROUNDS):
        p = sigmoid(strength[:, None] - strength[None, :])
        gradient = (wins - met * p).sum(1) - (strength - centre) / spread**2
        step = np.linalg.solve(_precision(met, strength, spread), gradient)
        strength = strength + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        if np.abs(step).max(initial=0) < 1e-9:
            break
    covariance = np.linalg.inv(_precision(met, strength, spread))
    return Strengths(strength, covariance.astype(np.float64))


def _precision(met: Floats, strength: Floats, spread: float) -> Floats:
    p = sigmoid(strength[:, None] - strength[None, :])
    weight = met * p * (1 - p)
    return np.asarray(np.diag(weight.sum(1) + 1 / spread**2) - weight, dtype=np.float64)
