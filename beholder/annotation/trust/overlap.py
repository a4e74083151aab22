"""The quality-control sample: the tasks that two people or more answered."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from beholder.annotation.trust.intervals import Interval
from beholder.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """How many tasks were answered by two people or more, and how far they agree there.

    Attributes:
        tasks: tasks that anyone answered.
        shared: tasks that two people or more answered.
        wanted: the share of shared tasks that was planned; None if it is not known.
        people: number of people -> how many tasks so many answered.
        percent: aspect -> share of agreeing pairs of answers, mean over the shared tasks.
    """

    tasks: int
    shared: int
    wanted: float | None
    people: Mapping[int, int]
    percent: Mapping[str, Interval]


def overlap(
    given: Iterable[tuple[str, str]],
    percent: Mapping[str, Interval],
    overlap_percent: float | None = None,
) -> Overlap:
    """The sample among answers given as (key of the task, annotator), each task once a person.

    Raises ConfigError if `overlap_percent` lies outside [0, 100].
    """
    if overlap_percent is not None and not 0 <= overlap_percent <= 100:
        raise ConfigError(f"overlap_percent is {overlap_percent}, expected a number in [0, 100]")
    people = Counter(Counter(key for key, _ in given).values())
    return Overlap(
        tasks=people.total(),
        shared=people.total() - people[1],
        wanted=None if overlap_percent is None else overlap_percent / 100,
        people=dict(sorted(people.items())),
        percent=percent,
    )


def shared_tasks(given: Iterable[tuple[str, str]]) -> dict[str, tuple[int, int]]:
    """Annotator -> (tasks answered, how many of them others answered too)."""
    held = list(given)
    people = Counter(key for key, _ in held)
    tasks: defaultdict[str, list[int]] = defaultdict(list)
    for key, annotator in held:
        tasks[annotator].append(people[key])
    return {who: (len(mine), sum(n > 1 for n in mine)) for who, mine in tasks.items()}
