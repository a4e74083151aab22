"""Which pairs and pictures annotators disagree about most."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, pvariance

from beholder.annotation.joining.answers import DOUBTFUL, Pair, answered, aspect_order
from beholder.annotation.trust.closeness import steps
from beholder.annotation.trust.rating_agreement import counted_ratings, rated_aspects
from beholder.types import Comparison, Rating


@dataclass(frozen=True, slots=True)
class DisputedPair:
    """A pair and who said what of it.

    Attributes:
        pair: the two pictures and their prompt.
        aspects: the aspects that were asked, in their usual order.
        answers: (annotator, aspect -> -1 first, 0 tie, 1 second), by annotator.
        entropy: of the answers to an aspect, in bits, mean over aspects.
    """

    pair: Pair
    aspects: Sequence[str]
    answers: Sequence[tuple[str, Mapping[str, int]]]
    entropy: float

    def split(self, aspect: str) -> tuple[int, int, int]:
        """How many say first, tie and second."""
        counts = Counter(given[aspect] for _, given in self.answers if aspect in given)
        return counts[-1], counts[0], counts[1]


@dataclass(frozen=True, slots=True)
class DisputedPicture:
    """A picture and what each annotator says of it.

    Attributes:
        ratings: one an annotator, by annotator.
        aspects: the rated aspects, in their usual order.
        spread: absolute difference of two ratings in steps, mean over pairs, then aspects.
    """

    ratings: Sequence[Rating]
    aspects: Sequence[str]
    spread: float


def disputed_pairs(
    comparisons: Iterable[Comparison], *, count: int, exclude: Iterable[str] = DOUBTFUL
) -> list[DisputedPair]:
    """The `count` pairs with the highest entropy, highest first; none that all agree on.

    Of equal entropy, answers further apart go first, then pairs with more answers.
    """
    unwanted = frozenset(exclude)
    given: defaultdict[Pair, list[tuple[str, dict[str, int]]]] = defaultdict(list)
    for comparison, answers in answered(comparisons):
        if not comparison.flags & unwanted:
            mine: defaultdict[Pair, dict[str, int]] = defaultdict(dict)
            for answer in answers:
                mine[answer.pair][answer.aspect] = answer.value
            for pair, values in mine.items():
                given[pair].append((comparison.annotator, values))
    ranked = sorted(given.items(), key=lambda item: _dispute(item[1]), reverse=True)
    found = [_disputed(pair, answers) for pair, answers in ranked[:count]]
    return [one for one in found if one.entropy > 0]


def disputed_pictures(
    ratings: Iterable[Rating], *, count: int, exclude: Iterable[str] = DOUBTFUL
) -> list[DisputedPicture]:
    """The `count` pictures whose ratings are furthest apart, furthest first; none that agree."""
    groups = counted_ratings(ratings, exclude)
    spreads = {key: _spread(group) for key, group in groups.items()}
    ranked = sorted(spreads, key=lambda key: -spreads[key])[:count]
    return [
        DisputedPicture(
            sorted(groups[key], key=lambda rating: rating.annotator),
            rated_aspects({key: groups[key]}),
            spreads[key],
        )
        for key in ranked
        if spreads[key] > 0
    ]


def entropy(values: Iterable[int]) -> float:
    """Entropy of answers in bits: 0 if all are equal, log2(3) if left, tie and right are even."""
    counts = Counter(values)
    shares = [count / counts.total() for count in counts.values()]
    return sum(share * math.log2(1 / share) for share in shares)


def _disputed(pair: Pair, answers: Sequence[tuple[str, Mapping[str, int]]]) -> DisputedPair:
    aspects = aspect_order(aspect for _, given in answers for aspect in given)
    ordered = sorted(answers, key=lambda answer: answer[0])
    return DisputedPair(pair, aspects, ordered, _dispute(answers)[0])


def _dispute(answers: Sequence[tuple[str, Mapping[str, int]]]) -> tuple[float, float, int]:
    """Entropy and variance of the answers to an aspect, means over aspects; how many answers."""
    columns: defaultdict[str, list[int]] = defaultdict(list)
    for _, given in answers:
        for aspect, value in given.items():
            columns[aspect].append(value)
    apart = fmean(pvariance(column) for column in columns.values())
    return fmean(map(entropy, columns.values())), apart, len(answers)


def _spread(ratings: Sequence[Rating]) -> float:
    aspects = rated_aspects({"": ratings})
    units = [[r.values[aspect] for r in ratings if aspect in r.values] for aspect in aspects]
    apart = [
        fmean(abs(steps(one, other)) for one, other in combinations(unit, 2))
        for unit in units
        if len(unit) > 1
    ]
    return fmean(apart) if apart else 0.0
