"""Many annotators -> one preference a pair: by votes, or by how reliable each annotator is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from beholder.annotation.answers import DOUBTFUL, Answer, Pair, aspect_order, counted_answers
from beholder.annotation.crowd import CrowdFit, CrowdPrior, fit_crowd
from beholder.types import Comparison, Preference


@dataclass(frozen=True, slots=True)
class WeightedPreferences:
    """Preferences and how far each annotator was trusted.

    Attributes:
        preferences: one a pair, as from `by_votes`.
        reliability: aspect -> annotator -> probability in [0, 1] that an answer follows the
            picture's true order; 0.5 is guessing, below it answers are turned round.
    """

    preferences: Sequence[Preference]
    reliability: Mapping[str, Mapping[str, float]]


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
    p_first: dict[tuple[str, Pair], float] = {}
    reliability: dict[str, Mapping[str, float]] = {}
    for aspect in aspect_order(a.aspect for a in answers):
        mine = [a for a in answers if a.aspect == aspect]
        votes = [_vote(a) for a in mine if a.pair.first != a.pair.second]
        fit = fit_crowd(votes, prior=prior or CrowdPrior())
        reliability[aspect] = fit.reliability
        p_first |= {(aspect, a.pair): _p_first(fit, a.pair) for a in mine}
    preferences = _preferences(answers, lambda aspect, votes: p_first[aspect, votes[0].pair])
    return WeightedPreferences(preferences, reliability)


def _p_first(fit: CrowdFit, pair: Pair) -> float:
    return 0.5 if pair.first == pair.second else fit.p_first(*_items(pair))


def _items(pair: Pair) -> tuple[tuple[str, str], tuple[str, str]]:
    return (pair.prompt, pair.first), (pair.prompt, pair.second)


def _vote(answer: Answer) -> tuple[tuple[str, str], tuple[str, str], str, int]:
    return (*_items(answer.pair), answer.annotator, answer.value)


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
