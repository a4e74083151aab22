"""The temperature of the largest likelihood."""

from __future__ import annotations

import math

import numpy as np

from beholder.errors import DataError
from beholder.eval._bootstrap import Floats

_CHANCE = 1e-9  # of the margins: what rounding makes of no agreement at all
_HALVINGS = 60  # of an interval of T: to the last bit


def fit_temperature(margin: Floats, p_first: Floats) -> float:
    """The temperature T of the largest likelihood (Guo et al., ICML 2017, section 4.2).

    Σ p log q + (1 - p) log (1 - q) with q = sigmoid(m / T) is largest where Σ m (p - q) is 0, which
    is found by halving an interval of log T.

    Raises DataError where no T is the likeliest: the reward agrees with people no more than chance
    does, or with all of them.
    """
    refuse_chance(margin, p_first)
    if (margin * (p_first - (margin > 0))).sum() >= 0:
        raise DataError(
            f"the reward agrees with people on each of these {len(margin)} pairs, so it cannot be "
            "told how sure it is; give more pairs, or set temperature yourself"
        )
    low, high = _bracket(margin, p_first)
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _slope(margin, p_first, middle) < 0 else (low, middle)
    return math.sqrt(low * high)


def refuse_chance(margin: Floats, p_first: Floats) -> None:
    """Raise DataError if the larger margin does not go with the preferred picture at all."""
    if (margin * (p_first - 0.5)).sum() <= _CHANCE * np.abs(margin).sum():
        raise DataError(
            f"on these {len(margin)} pairs larger margins do not go with what people prefer, so "
            "no probability above 1/2 fits; give more pairs, look for answers that are reversed, "
            "or use another reward"
        )


def _bracket(margin: Floats, p_first: Floats) -> tuple[float, float]:
    """Temperatures below and above the likeliest."""
    low = high = float(np.abs(margin).mean())
    while _slope(margin, p_first, low) > 0:
        low /= 2
    while _slope(margin, p_first, high) < 0:
        high *= 2
    return low, high


def _slope(margin: Floats, p_first: Floats, temperature: float) -> float:
    """Of the log-likelihood by 1 / T; it grows with T."""
    q = (1 + np.tanh(margin / temperature / 2)) / 2
    return float((margin * (p_first - q)).sum())
