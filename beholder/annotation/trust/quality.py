"""How far each annotator can be trusted: known answers, the others' consensus, even answers."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beholder.annotation.joining.answers import DOUBTFUL, Answer, Pair, Record, by_pair
from beholder.annotation.mapping import GOLD, TaskSides
from beholder.annotation.trust.intervals import UNDEFINED, Interval, wilson

UNKNOWN = "unknown"
"""The annotator of answers whose annotator was lost: perhaps several people, so no row of its own.
Their answers are compared with the others'."""

Mark = tuple[str, bool]
"""The key of an answer's task, and whether the answer passed."""
Marks = defaultdict[str, list[Mark]]
"""Annotator -> the marks of the answers that count."""
Place = tuple[Pair, str]
"""A pair and the aspect that was asked."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share of `answers` answers to `tasks` tasks.

    The interval is Wilson's with a task as one observation, because answers to a task go together.
    """

    share: Interval
    answers: int
    tasks: int

    @classmethod
    def of(cls, marks: Iterable[Mark]) -> Share:
        """The share of marks that passed; NaN without any."""
        held = list(marks)
        if not held:
            return NOTHING
        tasks = len({task for task, _ in held})
        return cls(wilson(sum(passed for _, passed in held) / len(held), tasks), len(held), tasks)


NOTHING = Share(UNDEFINED, 0, 0)


@dataclass(frozen=True, slots=True)
class PeerAgreement:
    """One annotator against the others: share of equal answers, mean over `tasks` shared ones."""

    agreement: float
    tasks: int


def peer_agreement(answers: Iterable[Answer]) -> dict[str, PeerAgreement]:
    """Annotator -> agreement with the others in one aspect; NaN if nobody shares a task."""
    shares: defaultdict[str, list[float]] = defaultdict(list)
    for unit in by_pair(answers).values():
        for answer in unit:
            others = [o.value for o in unit if o is not answer]
            mine = shares[answer.annotator]
            mine += [others.count(answer.value) / len(others)] if others else []
    shares.pop(UNKNOWN, None)
    return {
        annotator: PeerAgreement(float(np.mean(mine)) if mine else math.nan, len(mine))
        for annotator, mine in shares.items()
    }


def known_answers(
    records: Iterable[Record], sides: Mapping[str, TaskSides], exclude: Iterable[str] = DOUBTFUL
) -> dict[Place, int]:
    """(pair, aspect) -> the value that is known to be right, in the pair's own order.

    Known are the gold answers of the mapping and what an annotation says that is marked as ground
    truth and carries no other flag of `exclude`. Where they contradict each other nothing is known.
    """
    known: defaultdict[Place, set[int]] = defaultdict(set)
    doubtful = frozenset(exclude) - {"ground_truth", "gold"}
    for comparison, answers in records:
        for answer in answers:
            place = answer.pair, answer.aspect
            task = sides.get(answer.pair.key)
            if task is not None and answer.aspect in task.gold:
                known[place].add(_gold_value(answer.pair, answer.aspect, task))
            if "ground_truth" in comparison.flags and not comparison.flags & doubtful:
                known[place].add(answer.value)
    return {place: values.pop() for place, values in known.items() if len(values) == 1}


def gold_marks(answers: Iterable[Answer], known: Mapping[Place, int]) -> Marks:
    """For each annotator, whether each answer to a place of `known` is the right one."""
    marks = Marks(list)
    for answer in answers:
        value = known.get((answer.pair, answer.aspect))
        if value is not None:
            marks[answer.annotator].append((answer.pair.key, answer.value == value))
    return marks


def consensus_marks(answers: Iterable[Answer]) -> Marks:
    """For each annotator, whether each answer is what most of the others say.

    An answer counts where at least two others answered and more than half of them say the same.
    """
    marks = Marks(list)
    units: defaultdict[Place, list[Answer]] = defaultdict(list)
    for answer in answers:
        units[answer.pair, answer.aspect].append(answer)
    for unit in units.values():
        for answer in unit:
            value = _majority([other.value for other in unit if other is not answer])
            if value is not None:
                marks[answer.annotator].append((answer.pair.key, answer.value == value))
    return marks


def left_marks(answers: Iterable[Answer], right_first: Container[str] = ()) -> Marks:
    """For each annotator, whether each answer that is no tie prefers the left picture.

    `right_first` are keys whose first picture was shown on the right.
    """
    marks = Marks(list)
    for answer in answers:
        if answer.value != 0:
            left = (answer.value == -1) != (answer.pair.key in right_first)
            marks[answer.annotator].append((answer.pair.key, left))
    return marks


def straight_marks(answers: Iterable[Answer]) -> Marks:
    """For each annotator, whether each pair got the same answer in all its aspects, two or more."""
    marks = Marks(list)
    units: defaultdict[tuple[str, Pair], list[int]] = defaultdict(list)
    for answer in answers:
        units[answer.annotator, answer.pair].append(answer.value)
    for (annotator, pair), values in units.items():
        if len(values) > 1:
            marks[annotator].append((pair.key, len(set(values)) == 1))
    return marks


def _gold_value(pair: Pair, aspect: str, task: TaskSides) -> int:
    value = GOLD.index(task.gold[aspect]) - 1
    return -value if pair.first == task.image_b else value


def _majority(values: Sequence[int]) -> int | None:
    if len(values) < 2:
        return None
    ((value, count),) = Counter(values).most_common(1)
    return value if 2 * count > len(values) else None
