"""How sure a reward is: the temperature that turns its margins into how likely people agree.

A reward says which of two pictures is better, and sigmoid(margin / T) how likely people say so too.
T is 1 for rewards that were trained as log-odds of pairs; for others it is fitted on judgements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import DataError
from beholder.training._tuning.signal import Signal
from beholder.types import Preference

_CHANCE = 1e-9  # of the margins: what rounding makes of no agreement at all
_HALVINGS = 60  # of an interval of T: to the last bit


def fit_temperature(margins: Float[Tensor, " e"], p_first: Float[Tensor, " e"]) -> float:
    """The temperature T of the largest likelihood (Guo et al., ICML 2017, section 4.2).

    Σ p log q + (1 - p) log (1 - q) with q = sigmoid(m / T) is largest where Σ m (p - q) is 0, which
    is found by halving an interval of log T.

    Raises DataError where no T is the likeliest: the reward agrees with people no more than chance
    does, or with all of them.
    """
    margins, p_first = margins.double(), p_first.double()
    certain = (margins * (p_first - (margins > 0).double())).sum()
    if (margins * (p_first - 0.5)).sum() <= _CHANCE * margins.abs().sum():
        raise DataError(
            f"on these {len(margins)} pairs the reward agrees with people no more than chance "
            "does; set temperature, or use another reward"
        )
    if certain >= 0:
        raise DataError(
            f"the reward agrees with people on each of these {len(margins)} pairs, so it cannot be "
            "told how sure it is; give more pairs, or set temperature"
        )
    low, high = _bracket(margins, p_first)
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _slope(margins, p_first, middle) < 0 else (low, middle)
    return math.sqrt(low * high)


def calibrated(signal: Signal, preferences: Sequence[Preference], aspect: str) -> float:
    """The temperature of a reward on judgements of an aspect; see `fit_temperature`.

    Pairs with a picture that the reward cannot score are left out.
    """
    judged = [p for p in preferences if aspect in p.p_first]
    margins = pair_margins(signal, judged)
    p_first = torch.tensor([p.p_first[aspect] for p in judged])
    known = margins.isfinite()
    return fit_temperature(margins[known], p_first[known])


def pair_margins(signal: Signal, preferences: Sequence[Preference]) -> Float[Tensor, " e"]:
    """The first picture's score less the second's; NaN where one has none."""
    rows: dict[tuple[str, str], int] = {}
    pairs = [
        [rows.setdefault((picture, p.prompt), len(rows)) for picture in (p.first, p.second)]
        for p in preferences
    ]
    pictures, prompts = ([node[side] for node in rows] for side in (0, 1))
    scores = signal.chosen(signal.reward.score(pictures, prompts))
    first, second = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).unbind(1)
    return scores[first] - scores[second]


def _bracket(margins: Tensor, p_first: Tensor) -> tuple[float, float]:
    """Temperatures below and above the likeliest."""
    low = high = float(margins.abs().mean())
    while _slope(margins, p_first, low) > 0:
        low /= 2
    while _slope(margins, p_first, high) < 0:
        high *= 2
    return low, high


def _slope(margins: Tensor, p_first: Tensor, temperature: float) -> float:
    """Of the log-likelihood by 1 / T; it grows with T."""
    return float((margins * (p_first - (margins / temperature).sigmoid())).sum())
