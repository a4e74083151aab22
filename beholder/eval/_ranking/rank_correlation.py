"""Rank correlation of many pairs of short series at once."""

from __future__ import annotations

import numpy as np

from beholder.eval._bootstrap import Floats

_DIGITS = 9  # strengths that are closer than rounding are equal


def kendall(x: Floats, y: Floats) -> Floats:
    """Kendall's tau-b (...,) of two series (..., n), in [-1, 1]; NaN where one is constant."""
    i, j = np.triu_indices(x.shape[-1], 1)
    a, b = (np.sign(np.round(v[..., i] - v[..., j], _DIGITS)) for v in (x, y))
    return _ratio((a * b).sum(-1), (a * a).sum(-1) * (b * b).sum(-1))


def spearman(x: Floats, y: Floats) -> Floats:
    """Spearman's rho (...,) of two series (..., n), equal values sharing their mean rank."""
    a, b = _centred_ranks(x), _centred_ranks(y)
    return _ratio((a * b).sum(-1), (a * a).sum(-1) * (b * b).sum(-1))


def _centred_ranks(x: Floats) -> Floats:
    """Twice the mean ranks less their mean: others that are smaller less those that are larger."""
    ranks: Floats = np.sign(np.round(x[..., :, None] - x[..., None, :], _DIGITS)).sum(-1)
    return ranks


def _ratio(top: Floats, squares: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        ratio: Floats = top / np.sqrt(squares)
    return ratio
