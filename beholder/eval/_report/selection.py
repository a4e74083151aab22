"""Which pictures and pairs of a long run a reader should see."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from beholder.errors import ConfigError, DataError
from beholder.eval._report.columns import Columns
from beholder.eval._report.shown import Disagreement, ScoredPicture
from beholder.tables import unknown
from beholder.types import Preference


def best_and_worst(
    pictures: Iterable[ScoredPicture], *, by: str = "total", count: int = 6
) -> tuple[list[ScoredPicture], list[ScoredPicture]]:
    """The `count` highest (best first) and the `count` lowest (worst first) scores of `by`.

    `by` is an aspect or "total". Pictures without a finite score are left out, and none appears
    on both sides: of fewer than 2 x count pictures the better half is the best. Raises DataError
    if count is below 1.
    """
    if count < 1:
        raise DataError(f"count is {count}; show at least one picture")
    finite = [picture for picture in pictures if math.isfinite(picture.score(by))]
    ordered = sorted(finite, key=lambda picture: -picture.score(by))
    best = ordered[: min(count, math.ceil(len(ordered) / 2))]
    worst = ordered[len(best) :][-count:]
    return best, worst[::-1]


def best_and_worst_rows(
    table: Columns, *, by: str = "total", count: int = 6
) -> tuple[list[int], list[int]]:
    """The same of a table: row numbers, without making a record of every row.

    Raises ConfigError if the table has no score `by`, and DataError if count is below 1.
    """
    if count < 1:
        raise DataError(f"count is {count}; show at least one picture")
    if by not in table.scores:
        raise ConfigError(unknown("score", by, list(table.scores)))
    scores = table.scores[by]
    finite = np.flatnonzero(np.isfinite(scores))
    ordered = finite[np.argsort(-scores[finite], kind="stable")]
    best = ordered[: min(count, math.ceil(len(ordered) / 2))]
    worst = ordered[len(best) :][-count:]
    return best.tolist(), worst[::-1].tolist()


def disagreements(
    preferences: Iterable[Preference],
    scores: Mapping[tuple[str, str], Mapping[str, float]],
    *,
    aspect: str | None = None,
    count: int = 6,
) -> list[Disagreement]:
    """The `count` pairs with the widest gap |people - model|, widest first.

    An aspect on which both lean to one side, or that people left undecided with a share of 0.5,
    has no gap; a pair without any gap is not given. The model's probability is
    sigmoid(score of first - score of second), as in Bradley and Terry (1952).

    Args:
        preferences: what people said.
        scores: (picture, prompt) -> aspect -> score; a pair that lacks a finite score of an
            aspect is not compared on it.
        aspect: the aspect that is compared; None takes each pair's widest.
        count: the most pairs to give.
    """
    pairs = [_compared(preference, scores) for preference in preferences]
    gaps = [pair.widest_gap if aspect is None else pair.gap(aspect) for pair in pairs]
    widest = sorted(range(len(pairs)), key=lambda row: -gaps[row])
    return [pairs[row] for row in widest[:count] if gaps[row] > 0]


def _compared(
    preference: Preference, scores: Mapping[tuple[str, str], Mapping[str, float]]
) -> Disagreement:
    first = scores.get((preference.first, preference.prompt), {})
    second = scores.get((preference.second, preference.prompt), {})
    margins = {a: first.get(a, math.nan) - second.get(a, math.nan) for a in preference.p_first}
    return Disagreement(
        prompt=preference.prompt,
        first=preference.first,
        second=preference.second,
        people=preference.p_first,
        model={a: sigmoid(margin) for a, margin in margins.items() if math.isfinite(margin)},
        votes=preference.votes,
    )


def sigmoid(margin: float) -> float:
    """1 / (1 + exp(-margin)), without overflow."""
    return 0.5 * (1 + math.tanh(margin / 2))
