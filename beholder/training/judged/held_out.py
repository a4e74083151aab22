"""Accuracy on held-out pairs, and how far chance may have moved it where pairs hang together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from beholder.types import Preference

_SURE = 3.0  # standard errors


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Accuracy on held-out pairs, and the interval in which it may truly be."""

    accuracy: float
    pairs: int
    low: float
    high: float

    def __str__(self) -> str:
        held_out = f"{self.pairs} held-out pairs ({self.low:.2f} to {self.high:.2f})"
        return f"{self.accuracy:.2f} of {held_out}"


def held_out_accuracy(
    metrics: Mapping[str, float], counts: Mapping[str, float], independent: float | None
) -> HeldOut | None:
    """The accuracy among an evaluation's metrics; None where no pair is held out.

    The interval is that of 3 standard errors of so many `independent` pairs. Where that is not
    known it is that of the pairs of one aspect, for the others may say the same.
    """
    pairs = round(counts.get("eval/accuracy", 0.0))
    if not pairs:
        return None
    of_one = [count for name, count in counts.items() if name.startswith("eval/accuracy_")]
    most = max(of_one, default=float(pairs))
    count = most if independent is None else min(most, independent)
    accuracy = metrics["eval/accuracy"]
    return HeldOut(accuracy, pairs, *wilson(accuracy, max(1.0, count), _SURE))


def independent_pairs(preferences: Iterable[Preference], aspects: Iterable[str]) -> float:
    """How many independent pairs say as much about accuracy as these answers; 0 if there are none.

    A reward that knows nothing gives the pictures of a prompt any order with equal chance, in the
    worst case the same one for all aspects. Two pairs with one picture in common are then right
    with correlation 1/3 if it was preferred in both or neither, -1/3 otherwise. With w a picture's
    answers won less those lost, and d the same of one pair, the variance of the accuracy over N
    answers that are no ties is that of n = 3 N^2 / (sum w^2 + sum d^2) pairs. Of all pairs of k
    pictures in one ranking it is 9 / (2k + 5), as the variance of Kendall's tau has it.
    """
    aspects, answers = tuple(aspects), 0
    won: Counter[tuple[str, ...]] = Counter()
    for p in preferences:
        for aspect in aspects:
            side = p.p_first.get(aspect, 0.5) - 0.5
            sign = (side > 0) - (side < 0)
            answers += abs(sign)
            won[p.prompt, p.first] += sign
            won[p.prompt, p.second] -= sign
            low, high = sorted((p.first, p.second))
            won[p.prompt, low, high] += sign if low == p.first else -sign
    spread = sum(count**2 for count in won.values())
    return 3 * answers**2 / spread if spread else float(answers)


def wilson(share: float, count: float, errors: float) -> tuple[float, float]:
    """The interval for a share of `count` draws by `errors` standard errors (Wilson, 1927).

    (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n), within [0, 1].
    """
    square = errors**2 / count
    middle = share + square / 2
    width = errors * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return (middle - width) / (1 + square), (middle + width) / (1 + square)
