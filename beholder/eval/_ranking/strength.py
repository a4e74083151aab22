"""Bradley-Terry strengths of win counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from beholder.errors import DataError
from beholder.eval._bootstrap import Floats

_SWEEP = "a checkpoint wins or loses every comparison; add virtual ties"
_CELLS = 2**20  # win counts that are solved at once


def bradley_terry(wins: Floats, met: npt.NDArray[np.bool_], virtual_ties: float = 0.0) -> Floats:
    """Strengths (..., m) in log-odds, centred, of win counts (..., m, m), by Newton's method.

    Maximises sum_ij w_ij log sigmoid(s_i - s_j) (Bradley and Terry, 1952), where each two that
    `met` (m, m) get `virtual_ties` more ties, half a win for each side.

    Raises DataError if it does not converge: without virtual ties a clean sweep has no maximum.
    """
    m = wins.shape[-1]
    flat = wins.reshape(-1, m, m)
    chunk = max(1, _CELLS // (m * m))
    parts = [
        _solved(flat[at : at + chunk] + virtual_ties / 2 * met) for at in range(0, len(flat), chunk)
    ]
    strengths: Floats = np.concatenate([np.zeros((0, m)), *parts]).reshape(wins.shape[:-1])
    return strengths


def islands(met: npt.NDArray[np.bool_], names: Sequence[str]) -> list[str]:
    """The checkpoints that the first does not meet, not even through others; met is (m, m)."""
    reached = {0}
    frontier = [0]
    while frontier:
        near = set(np.flatnonzero(met[frontier.pop()]).tolist()) - reached
        reached |= near
        frontier += near
    return [name for k, name in enumerate(names) if k not in reached]


def _solved(wins: Floats) -> Floats:
    strength = np.zeros(wins.shape[:-1])
    for _ in range(100):
        step = _newton_step(wins, strength)
        strength = strength + np.clip(step, -2, 2)
        if np.abs(step).max(initial=0) < 1e-9:
            centred: Floats = strength - strength.mean(-1, keepdims=True)
            return centred
    raise DataError(_SWEEP)


def _newton_step(wins: Floats, strength: Floats) -> Floats:
    played = wins + np.swapaxes(wins, -1, -2)
    p = 1 / (1 + np.exp(strength[..., None, :] - strength[..., :, None]))
    gradient = (wins - played * p).sum(-1)
    weight = played * p * (1 - p)
    # the curvature is a graph Laplacian; adding a constant fixes the free common shift
    curvature = 1.0 - weight + weight.sum(-1)[..., None] * np.eye(wins.shape[-1])
    try:
        step: Floats = np.linalg.solve(curvature, gradient[..., None])[..., 0]
    except np.linalg.LinAlgError as error:
        raise DataError(_SWEEP) from error
    return step
