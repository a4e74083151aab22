"""How long annotators take, and which answers came too fast to be looked at."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from beholder.annotation.joining.answers import CHECKS, DOUBTFUL
from beholder.annotation.mapping import Kind
from beholder.annotation.trust.intervals import Interval, wilson
from beholder.annotation.trust.quality import UNKNOWN
from beholder.types import Comparison, Rating

THRESHOLD = 3.5
"""Robust z beyond which a value is an outlier (Iglewicz and Hoaglin, 1993)."""

_TO_SIGMA = 0.6745  # the 75th percentile of the normal distribution: MAD / sigma
_SHORTEST_SECONDS = 0.001  # the clock of a browser; 0 has no logarithm


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast all annotators answer tasks of one kind.

    Attributes:
        answers: how many say how long they took.
        seconds: their median.
        too_fast_below: seconds below which an answer is too fast; 0 if no time stands out because
            half of them are equal.
    """

    answers: int
    seconds: float
    too_fast_below: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast one annotator answers.

    Attributes:
        answers: how many say how long they took.
        seconds: their median; NaN without any.
        too_fast: share that is too fast, with Wilson's interval.
    """

    answers: int
    seconds: float
    too_fast: Interval


def paces(
    records: Iterable[Comparison | Rating], exclude: Iterable[str] = DOUBTFUL
) -> dict[Kind, Pace]:
    """The pace of each kind of task.

    An answer is too fast if the robust z of its log seconds is below -3.5: z = 0.6745 (x - median)
    / MAD over all annotators. Flags of `exclude` other than "gold" and "repeat" keep one out.
    """
    seconds: defaultdict[Kind, list[float]] = defaultdict(list)
    for record in _timed(records, exclude):
        seconds[kind_of(record)].append(_seconds(record))
    return {kind: _pace(seconds[kind]) for kind in sorted(seconds)}


def speeds(
    records: Iterable[Comparison | Rating],
    pace: Mapping[Kind, Pace],
    exclude: Iterable[str] = DOUBTFUL,
) -> dict[str, Speed]:
    """Annotator -> speed, judged by the pace of each kind of task."""
    taken: defaultdict[str, list[tuple[float, bool]]] = defaultdict(list)
    for record in _timed(records, exclude):
        seconds = _seconds(record)
        too_fast = seconds < pace[kind_of(record)].too_fast_below
        taken[record.annotator].append((seconds, too_fast))
    taken.pop(UNKNOWN, None)
    return {annotator: speed(times) for annotator, times in taken.items()}


def speed(times: Sequence[tuple[float, bool]]) -> Speed:
    """Of answers, each with its seconds and whether it is too fast."""
    share = sum(fast for _, fast in times) / len(times) if times else math.nan
    return Speed(
        answers=len(times),
        seconds=float(np.median([s for s, _ in times])) if times else math.nan,
        too_fast=wilson(share, len(times)),
    )


def kind_of(record: Comparison | Rating) -> Kind:
    """The kind of a record's task, as its flags say."""
    return "repeat" if "repeat" in record.flags else "gold" if "gold" in record.flags else "ask"


def _timed(
    records: Iterable[Comparison | Rating], exclude: Iterable[str]
) -> list[Comparison | Rating]:
    doubtful = frozenset(exclude) - CHECKS
    return [r for r in records if r.seconds is not None and not r.flags & doubtful]


def _seconds(record: Comparison | Rating) -> float:
    return max(record.seconds or 0.0, _SHORTEST_SECONDS)


def _pace(seconds: Sequence[float]) -> Pace:
    logs = np.log(seconds)
    median = float(np.median(logs))
    deviation = float(np.median(np.abs(logs - median)))
    lowest = math.exp(median - THRESHOLD * deviation / _TO_SIGMA) if deviation > 0 else 0.0
    return Pace(answers=len(seconds), seconds=math.exp(median), too_fast_below=lowest)
