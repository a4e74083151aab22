"""Comparisons taken apart: one answer of one annotator to one pair of pictures in one aspect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
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
        "unknown_user",
        "gold",
        "repeat",
        "deleted",
    }
)
"""Flags whose answers do not count.

Gold tasks and mirrored repeats check the annotators; counting them would ask a pair twice.

A partial answer counts in the aspects that were answered. A prefilled one does not: it repeats a
model's prediction. An unknown user's does not: the server forgets deleted users, so one person's
answers could count twice. `pull` keeps whom it saw before.
"""

CHECKS = frozenset({"gold", "repeat"})
"""Flags of answers that count where the annotators themselves are measured."""


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


Record = tuple[Comparison, Sequence[Answer]]
"""A comparison and what it says of each pair of its pictures in each aspect."""


def counted_answers(
    comparisons: Iterable[Comparison], exclude: Iterable[str] = DOUBTFUL
) -> list[Answer]:
    """The answers of all comparisons that carry none of the `exclude` flags."""
    return answers_without(answered(comparisons), exclude)


def answers_without(records: Iterable[Record], exclude: Iterable[str]) -> list[Answer]:
    """The answers of all records that carry none of the `exclude` flags."""
    unwanted = frozenset(exclude)
    return [a for comparison, given in records if not comparison.flags & unwanted for a in given]


def answered(comparisons: Iterable[Comparison]) -> Iterator[Record]:
    """Every comparison, flagged or not, with its answers.

    A ranking of n pictures gives n (n - 1) / 2 pairs. Answers to one question agree on which
    picture of a pair is `first`, even if their records list the pictures in another order.
    """
    known: dict[tuple[str, frozenset[str]], Pair] = {}
    for comparison in comparisons:
        answers: list[Answer] = []
        for i, j in combinations(range(len(comparison.images)), 2):
            first, second = comparison.images[i], comparison.images[j]
            pair = Pair(comparison.key, comparison.prompt, first, second)
            pair = known.setdefault((pair.key, frozenset((first, second))), pair)
            answers += _answers(comparison, pair, (i, j) if pair.first == first else (j, i))
        yield comparison, answers


def by_pair(answers: Iterable[Answer]) -> dict[Pair, list[Answer]]:
    """The answers to each pair, in their order."""
    units: defaultdict[Pair, list[Answer]] = defaultdict(list)
    for answer in answers:
        units[answer.pair].append(answer)
    return dict(units)


def by_aspect(answers: Iterable[Answer]) -> dict[str, list[Answer]]:
    """The answers to each aspect, in `aspect_order`."""
    found: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        found[answer.aspect].append(answer)
    return {aspect: found[aspect] for aspect in aspect_order(found)}


def aspect_order(aspects: Iterable[str]) -> list[str]:
    """The given aspects once each: the canonical four first, the others by name."""
    present = set(aspects)
    return [a for a in ASPECTS if a in present] + sorted(present.difference(ASPECTS))


def _answers(comparison: Comparison, pair: Pair, order: tuple[int, int]) -> Iterable[Answer]:
    i, j = order
    for aspect, ranks in comparison.ranks.items():
        value = (ranks[i] > ranks[j]) - (ranks[i] < ranks[j])
        yield Answer(pair, aspect, comparison.annotator, value)
