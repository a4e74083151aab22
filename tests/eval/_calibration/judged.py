"""Pairs of a known truth."""

import math

import numpy as np

from beholder.calibration import Floats
from beholder.eval._calibration.margins import Pairs


def sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


def drawn(
    pairs: int, *, temperature: float = 1.7, scale: float = 2.0, tied: float = 0.0, seed: int = 0
) -> Pairs:
    """Answers of one person a pair who agrees with probability sigmoid(margin / temperature).

    Five pairs a prompt; a share `tied` of them is answered with a tie.
    """
    generator = np.random.default_rng(seed)
    margin = generator.normal(size=pairs) * scale
    p_first = (generator.random(pairs) < sigmoid(margin / temperature)).astype(np.float64)
    p_first[generator.random(pairs) < tied] = 0.5
    return Pairs(margin=margin, p_first=p_first, group=np.arange(pairs, dtype=np.int64) // 5)


def log_loss(stated: Floats, p_first: Floats) -> float:
    with np.errstate(divide="ignore"):
        logs = np.log(stated), np.log(1 - stated)
    terms = [
        -(p * (a if p else 0.0) + (1 - p) * (b if p < 1 else 0.0))
        for p, a, b in zip(p_first, *logs, strict=True)
    ]
    return math.fsum(terms) / len(terms)
