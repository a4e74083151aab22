"""Mirrored repeats: does an annotator answer the same when left and right are exchanged?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from beholder.annotation.joining.answers import CHECKS, DOUBTFUL
from beholder.annotation.mapping import TaskSides
from beholder.annotation.trust.intervals import UNDEFINED, Interval, Z, wilson
from beholder.annotation.trust.quality import UNKNOWN
from beholder.types import Comparison

Twice = tuple[str, int, int]
"""The key of a repeat and the side that was chosen before and then: -1 left, 0 tie, 1 right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retest:
    """Answers to pairs that the same person saw twice, the second time mirrored.

    The intervals take a task as one observation, because answers to a task go together.

    Attributes:
        tasks: pairs of tasks of which both were answered.
        answers: pairs of answers to them, one an aspect.
        same: share of them that name the same picture, or a tie, both times.
        left_twice, right_twice: how many name the same side and so another picture.
        ties_changed: how many are a tie only once.
        bias: (left twice - right twice) / pairs of answers without a tie: 0 is none, 1 always
            left. Its interval is that of Bonett and Price (2012) for paired shares.
    """

    tasks: int
    answers: int
    same: Interval
    left_twice: int
    right_twice: int
    ties_changed: int
    bias: Interval


def repeated_answers(
    comparisons: Iterable[Comparison],
    sides: Mapping[str, TaskSides],
    exclude: Iterable[str] = DOUBTFUL,
) -> dict[str, list[Twice]]:
    """Annotator -> every aspect that was answered in a task and in its mirrored repeat.

    Flags of `exclude` other than "gold" and "repeat" keep an answer out, and so does a repeat that
    does not mirror the task that it `repeats`.
    """
    doubtful = frozenset(exclude) - CHECKS
    given = {
        (c.annotator, c.key): c
        for c in comparisons
        if c.key in sides and not c.flags & doubtful and c.annotator != UNKNOWN
    }
    twice: defaultdict[str, list[Twice]] = defaultdict(list)
    for (annotator, key), again in given.items():
        once = given.get((annotator, sides[key].repeats))
        if once is None or _shown(sides[once.key]) != _shown(sides[key])[::-1]:
            continue
        for aspect in once.ranks.keys() & again.ranks.keys():
            before, then = (_side(c, aspect, sides[c.key]) for c in (once, again))
            twice[annotator].append((key, before, then))
    return dict(twice)


def retest(twice: Sequence[Twice]) -> Retest:
    """What repeated answers, of one annotator or of all, say together."""
    tasks = len({key for key, _, _ in twice})
    chosen = [(before, then) for _, before, then in twice]
    same = sum(before == -then for before, then in chosen)
    left, right = chosen.count((-1, -1)), chosen.count((1, 1))
    decided = [(key, before, then) for key, before, then in twice if before and then]
    return Retest(
        tasks=tasks,
        answers=len(chosen),
        same=wilson(same / len(chosen) if chosen else math.nan, tasks),
        left_twice=left,
        right_twice=right,
        ties_changed=sum((before == 0) != (then == 0) for before, then in chosen),
        bias=paired_difference(left, right, len(decided), len({key for key, _, _ in decided})),
    )


def paired_difference(more: int, less: int, answers: int, tasks: int) -> Interval:
    """(more - less) / answers with its 95 % interval, of answers that go together in `tasks`.

    Source: Bonett and Price, "Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data", 2012.
    """
    if answers == 0:
        return UNDEFINED
    up, down = ((count * tasks / answers + 1) / (tasks + 2) for count in (more, less))
    half = Z * math.sqrt((up + down - (up - down) ** 2) / (tasks + 2))
    low, high = max(up - down - half, -1.0), min(up - down + half, 1.0)
    return Interval((more - less) / answers, low, high)


def _shown(task: TaskSides) -> tuple[str, str]:
    """The pictures from left to right."""
    pictures = task.image_a, task.image_b
    return pictures if task.left_is == "a" else pictures[::-1]


def _side(comparison: Comparison, aspect: str, task: TaskSides) -> int:
    """Which side was chosen: -1 left, 0 tie, 1 right."""
    one, other = comparison.ranks[aspect]
    best = comparison.images[0 if one < other else 1]
    return 0 if one == other else -1 if best == _shown(task)[0] else 1
