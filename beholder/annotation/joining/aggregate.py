"""Many annotators -> one preference a pair: by votes, or by how each annotator answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from beholder.annotation.joining.answers import (
    DOUBTFUL,
    Answer,
    Pair,
    aspect_order,
    by_aspect,
    counted_answers,
)
from beholder.annotation.joining.crowd import CrowdPrior, fit_crowd
from beholder.annotation.joining.dawid_skene import DawidSkeneFit, DawidSkenePrior, fit_dawid_skene
from beholder.types import Comparison, Preference

Method = Literal["votes", "bradley-terry", "dawid-skene"]
_Item = tuple[str, str]  # a picture of a prompt
_Vote = tuple[_Item, _Item, str, int]
_Odds = Callable[[_Item, _Item], float]
_TIE = 1


@dataclass(frozen=True, slots=True)
class WeightedPreferences:
    """Preferences and how far each annotator was trusted.

    Attributes:
        preferences: one a pair, as from `by_votes`.
        reliability: aspect -> annotator -> probability in [0, 1]; empty for votes. Bradley-Terry:
            that an answer follows the pictures' true order; 0.5 is guessing, below it answers are
            turned round. Dawid-Skene: that an answer is the true one of first, tie and second.
        confusion: aspect -> annotator -> theta of Dawid and Skene: for each true answer of first,
            tie and second the probabilities of the given ones; empty for the others.
    """

    preferences: Sequence[Preference]
    reliability: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    confusion: Mapping[str, Mapping[str, Sequence[Sequence[float]]]] = field(default_factory=dict)


def aggregate(
    comparisons: Iterable[Comparison],
    method: Method = "votes",
    *,
    exclude: Iterable[str] = DOUBTFUL,
) -> WeightedPreferences:
    """One preference a pair: `by_votes`, `by_reliability` or `by_dawid_skene`."""
    if method == "votes":
        return WeightedPreferences(by_votes(comparisons, exclude=exclude))
    if method == "bradley-terry":
        return by_reliability(comparisons, exclude=exclude)
    return by_dawid_skene(comparisons, exclude=exclude)


def by_votes(
    comparisons: Iterable[Comparison], *, exclude: Iterable[str] = DOUBTFUL
) -> list[Preference]:
    """One preference a pair: the mean of 1 (first), 0.5 (tie) and 0 (second) over its answers.

    Comparisons with an `exclude` flag do not count; see `DOUBTFUL`. A pair without any counted
    answer gives no preference.
    """
    answers = counted_answers(comparisons, exclude)
    return _preferences(
        answers, lambda _, votes: sum((1 - v.value) / 2 for v in votes) / len(votes)
    )


def by_reliability(
    comparisons: Iterable[Comparison],
    *,
    exclude: Iterable[str] = DOUBTFUL,
    prior: CrowdPrior | None = None,
) -> WeightedPreferences:
    """One preference a pair by Bradley-Terry with annotator reliability; see `fit_crowd`.

    Every aspect is fitted alone. Questions that show the same two pictures for the same prompt
    share their answers. Annotators who cannot be told apart ("unknown") count as one person.
    """
    answers = counted_answers(comparisons, exclude)
    fits = {a: fit_crowd(v, prior=prior or CrowdPrior()) for a, v in _votes(answers).items()}
    return WeightedPreferences(
        _fitted(answers, {aspect: fit.p_first for aspect, fit in fits.items()}),
        {aspect: fit.reliability for aspect, fit in fits.items()},
    )


def by_dawid_skene(
    comparisons: Iterable[Comparison],
    *,
    exclude: Iterable[str] = DOUBTFUL,
    prior: DawidSkenePrior | None = None,
) -> WeightedPreferences:
    """One preference a pair by the confusion of each annotator; see `fit_dawid_skene`.

    `p_first` is P(first) + P(tie) / 2. Aspects, repeated questions and "unknown" annotators are
    treated as in `by_reliability`.
    """
    answers = counted_answers(comparisons, exclude)
    fits = {
        aspect: fit_dawid_skene([_labelled(vote) for vote in votes], prior=prior)
        for aspect, votes in _votes(answers).items()
    }
    return WeightedPreferences(
        _fitted(answers, {aspect: _odds(fit) for aspect, fit in fits.items()}),
        {aspect: fit.reliability() for aspect, fit in fits.items()},
        {aspect: fit.confusion for aspect, fit in fits.items()},
    )


def _votes(answers: Iterable[Answer]) -> dict[str, list[_Vote]]:
    """The votes on each aspect; a picture against itself has none."""
    return {
        aspect: [
            (*_items(a.pair), a.annotator, a.value) for a in mine if a.pair.first != a.pair.second
        ]
        for aspect, mine in by_aspect(answers).items()
    }


def _items(pair: Pair) -> tuple[_Item, _Item]:
    return (pair.prompt, pair.first), (pair.prompt, pair.second)


def _labelled(vote: _Vote) -> tuple[tuple[_Item, _Item], str, int]:
    """The pair in alphabetical order, the annotator and the answer: 0 first, 1 tie, 2 second."""
    one, other, annotator, value = vote
    label = _TIE + (value if one < other else -value)
    return (min(one, other), max(one, other)), annotator, label


def _odds(fit: DawidSkeneFit) -> _Odds:
    def p_first(one: _Item, other: _Item) -> float:
        first, tie, second = fit.posteriors[min(one, other), max(one, other)]
        return (first if one < other else second) + tie / 2

    return p_first


def _fitted(answers: Iterable[Answer], odds: Mapping[str, _Odds]) -> list[Preference]:
    """Preferences whose p_first a fit of each aspect gives; a picture equals itself."""

    def p_first(aspect: str, votes: Sequence[Answer]) -> float:
        pair = votes[0].pair
        return 0.5 if pair.first == pair.second else odds[aspect](*_items(pair))

    return _preferences(answers, p_first)


def _preferences(
    answers: Iterable[Answer], p_first: Callable[[str, Sequence[Answer]], float]
) -> list[Preference]:
    groups: defaultdict[Pair, defaultdict[str, list[Answer]]]
    groups = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        groups[answer.pair][answer.aspect].append(answer)
    return [
        Preference(
            key=pair.key,
            prompt=pair.prompt,
            first=pair.first,
            second=pair.second,
            p_first={a: p_first(a, aspects[a]) for a in aspect_order(aspects)},
            votes={a: len(aspects[a]) for a in aspect_order(aspects)},
        )
        for pair, aspects in groups.items()
    ]
