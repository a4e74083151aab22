"""How close ratings are, in steps of the scale of five stars."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median

from beholder.annotation.forms.richhf import STARS
from beholder.annotation.joining.answers import CHECKS, DOUBTFUL
from beholder.annotation.mapping import TaskPicture
from beholder.annotation.trust.intervals import UNDEFINED, Interval, wilson
from beholder.types import Rating

_ROUNDING = 1e-9

Gap = tuple[str, float]
"""The key of a rating's task and how many steps the rating lies above what it is held against."""
Gaps = defaultdict[str, list[Gap]]
"""Annotator -> the gaps of the ratings that count."""
Place = tuple[str, str]
"""The key of a task and the aspect that was rated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closeness:
    """Ratings of one annotator against others.

    Attributes:
        near: share within one step; Wilson's interval with a task as one observation.
        error: mean absolute difference in steps; NaN without any.
        offset: mean difference in steps: above 0 rates higher than what it is held against.
        answers, tasks: how many ratings of how many tasks.
    """

    near: Interval
    error: float
    offset: float
    answers: int
    tasks: int

    @classmethod
    def of(cls, gaps: Iterable[Gap]) -> Closeness:
        """What the gaps say together."""
        held = list(gaps)
        if not held:
            return cls(near=UNDEFINED, error=math.nan, offset=math.nan, answers=0, tasks=0)
        tasks = len({key for key, _ in held})
        return cls(
            near=wilson(fmean(is_near(gap) for _, gap in held), tasks),
            error=fmean(abs(gap) for _, gap in held),
            offset=fmean(gap for _, gap in held),
            answers=len(held),
            tasks=tasks,
        )


def is_near(gap: float) -> bool:
    """Whether a difference is at most one step, "good agreement" in Liang et al. (CVPR 2024)."""
    return abs(gap) <= 1 + _ROUNDING


def steps(rating: float, other: float) -> float:
    """How many steps of the scale the first lies above the second."""
    return (rating - other) * (STARS - 1)


def near_share(values: Iterable[float]) -> float:
    """Share of pairs of two or more ratings that are near each other."""
    return fmean(is_near(steps(one, other)) for one, other in combinations(values, 2))


def known_ratings(
    ratings: Iterable[Rating],
    tasks: Mapping[str, TaskPicture],
    exclude: Iterable[str] = DOUBTFUL,
) -> dict[Place, float]:
    """(key, aspect) -> the rating that is known to be right.

    Known are the gold answers of the mapping, and the mean of what annotations say that are marked
    as ground truth and carry no other flag of `exclude`; the mapping goes first.
    """
    doubtful = frozenset(exclude) - {"ground_truth", "gold"}
    truths: defaultdict[Place, list[float]] = defaultdict(list)
    for rating in ratings:
        if "ground_truth" in rating.flags and not rating.flags & doubtful:
            for aspect, value in rating.values.items():
                truths[rating.key, aspect].append(value)
    gold = {(k, aspect): float(text) for k, t in tasks.items() for aspect, text in t.gold.items()}
    return {place: fmean(values) for place, values in truths.items()} | gold


def gold_gaps(
    ratings: Iterable[Rating], known: Mapping[Place, float], exclude: Iterable[str] = DOUBTFUL
) -> Gaps:
    """For each annotator, how far each rating of a place of `known` is off."""
    doubtful = frozenset(exclude) - {"gold"}
    gaps = Gaps(list)
    for rating in ratings:
        for aspect, value in rating.values.items():
            if (rating.key, aspect) in known and not rating.flags & doubtful:
                gap = steps(value, known[rating.key, aspect])
                gaps[rating.annotator].append((rating.key, gap))
    return gaps


def consensus_gaps(groups: Iterable[Iterable[Rating]]) -> Gaps:
    """For each annotator, how far each rating is from the median of two or more others.

    A group holds the ratings of one task.
    """
    gaps = Gaps(list)
    for group in groups:
        held = list(group)
        for rating in held:
            for aspect, value in rating.values.items():
                others = [r.values[aspect] for r in held if r is not rating and aspect in r.values]
                if len(others) > 1:
                    gaps[rating.annotator].append((rating.key, steps(value, median(others))))
    return gaps


def repeat_gaps(
    ratings: Iterable[Rating],
    tasks: Mapping[str, TaskPicture],
    exclude: Iterable[str] = DOUBTFUL,
) -> Gaps:
    """For each annotator, how far each rating of a repeat is from the one given before.

    Flags of `exclude` other than "gold" and "repeat" keep a rating out.
    """
    doubtful = frozenset(exclude) - CHECKS
    given = {(r.annotator, r.key): r for r in ratings if r.key in tasks and not r.flags & doubtful}
    gaps = Gaps(list)
    for (annotator, key), again in given.items():
        once = given.get((annotator, tasks[key].repeats))
        before = once.values if once else {}
        for aspect in before.keys() & again.values.keys():
            gaps[annotator].append((key, steps(again.values[aspect], before[aspect])))
    return gaps
