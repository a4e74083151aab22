"""Comparisons taken apart: one answer of one annotator to one pair of pictures in one aspect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from beholder.types import ASPECTS, Comparison

DOUBTFUL = frozenset(
    {
        "skipped",
        "ground_truth",
        "prefilled",
        "edited_by_other",
        "duplicate",
        "invalid",
        "empty",
        "missing_picture",
        "gold",
        "repeat",
        "deleted",
    }
)
"""Flags whose answers do not count.

Gold tasks and mirrored repeats check the annotators; counting them would ask a pair twice.

A partial answer counts in the aspects that were answered. An unknown user's answer counts too: a
person gave it, only the name was lost. A prefilled one does not: it repeats a model's prediction.
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures of one question, in the order in which the question first named them."""

    key: str
    prompt: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What one annotator says of a pair: -1 prefers `first`, 0 is a tie, 1 prefers `second`."""

    pair: Pair
    aspect: str
    annotator: str
    value: int


def counted_answers(
    comparisons: Iterable[Comparison], exclude: Iterable[str] = DOUBTFUL
) -> list[Answer]:
    """The answers of all comparisons that carry none of the `exclude` flags.

    A ranking of n pictures gives n (n - 1) / 2 pairs. Answers to one question agree on which
    picture of a pair is `first`, even if their records list the pictures in another order.
    """
    unwanted = frozenset(exclude)
    known: dict[tuple[str, frozenset[str]], Pair] = {}
    answers: list[Answer] = []
    for comparison in comparisons:
        for i, j in combinations(range(len(comparison.images)), 2):
            pair = Pair(
                comparison.key, comparison.prompt, comparison.images[i], comparison.images[j]
            )
            pair = known.setdefault((pair.key, frozenset((pair.first, pair.second))), pair)
            if not comparison.flags & unwanted:
                order = (i, j) if pair.first == comparison.images[i] else (j, i)
                answers += _answers(comparison, pair, order)
    return answers


def aspect_order(aspects: Iterable[str]) -> list[str]:
    """The given aspects once each: the canonical four first, the others by name."""
    present = set(aspects)
    return [a for a in ASPECTS if a in present] + sorted(present.difference(ASPECTS))


def _answers(comparison: Comparison, pair: Pair, order: tuple[int, int]) -> Iterable[Answer]:
    i, j = order
    for aspect, ranks in comparison.ranks.items():
        value = (ranks[i] > ranks[j]) - (ranks[i] < ranks[j])
        yield Answer(pair, aspect, comparison.annotator, value)
