"""Everything that tells how far one annotator of single pictures can be trusted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from beholder.annotation.joining.answers import CHECKS, DOUBTFUL
from beholder.annotation.mapping import Kind, TaskPicture
from beholder.annotation.trust.closeness import (
    Closeness,
    Gaps,
    consensus_gaps,
    gold_gaps,
    known_ratings,
    repeat_gaps,
)
from beholder.annotation.trust.doubts import Check, doubts
from beholder.annotation.trust.overlap import shared_tasks
from beholder.annotation.trust.quality import UNKNOWN, Marks, Share
from beholder.annotation.trust.speed import Pace, Speed, paces, speed, speeds
from beholder.types import Rating


@dataclass(frozen=True, slots=True, kw_only=True)
class RaterReport:
    """What is known of one annotator.

    Attributes:
        tasks: tasks answered, gold tasks and repeats not counted.
        shared: how many of them somebody else answered too.
        gold: closeness to the ratings that are known to be right.
        consensus: closeness to the median of the others, where two or more rated.
        retest: closeness of the second rating of a repeated picture to the first.
        straight: share of tasks with the same rating in every aspect.
        speed: how fast.
        doubts: why the annotator should be looked at; none if empty.
    """

    tasks: int
    shared: int
    gold: Closeness
    consensus: Closeness
    retest: Closeness
    straight: Share
    speed: Speed
    doubts: Sequence[str]


@dataclass(frozen=True, slots=True)
class RatingEvidence:
    """What speaks for and against each annotator, by name.

    Attributes:
        given: annotator -> (tasks answered, how many of them others answered too).
        gold, consensus, again: how far ratings are from known ones, from the others' median, from
            the annotator's own of the same picture.
        straight: whether a task has one rating in all aspects.
        paces: how fast all annotators are, by kind of task.
        speeds: how fast each is.
    """

    given: Mapping[str, tuple[int, int]]
    gold: Gaps
    consensus: Gaps
    again: Gaps
    straight: Marks
    paces: Mapping[Kind, Pace]
    speeds: Mapping[str, Speed]

    @classmethod
    def of(
        cls,
        ratings: Sequence[Rating],
        groups: Mapping[str, Sequence[Rating]],
        tasks: Mapping[str, TaskPicture],
        exclude: Collection[str] = DOUBTFUL,
    ) -> RatingEvidence:
        """All evidence in the ratings; `groups` are those that count, by task."""
        pace = paces(ratings, exclude)
        return cls(
            given=shared_tasks((r.key, r.annotator) for group in groups.values() for r in group),
            gold=gold_gaps(ratings, known_ratings(ratings, tasks, exclude), exclude),
            consensus=consensus_gaps(groups.values()),
            again=repeat_gaps(ratings, tasks, exclude),
            straight=_straight(ratings, exclude),
            paces=pace,
            speeds=speeds(ratings, pace, exclude),
        )

    def annotators(self) -> dict[str, RaterReport]:
        """A report on each annotator, by name; "unknown" has none."""
        named = set(self.given).union(self.gold, self.again, self.speeds) - {UNKNOWN}
        return {name: self._annotator(name) for name in sorted(named)}

    def _annotator(self, name: str) -> RaterReport:
        tasks, shared = self.given.get(name, (0, 0))
        gold, consensus, again = (
            Closeness.of(gaps.get(name, ())) for gaps in (self.gold, self.consensus, self.again)
        )
        straight = Share.of(self.straight.get(name, ()))
        fast = self.speeds.get(name) or speed(())
        checks = [
            Check(what="within a step of gold in", found=gold.near, least=0.7),
            Check(what="within a step of the others in", found=consensus.near, least=0.5),
            Check(what="within a step of own first rating in", found=again.near, least=0.6),
            Check(what="too fast in", found=fast.too_fast, most=0.05),
            Check(what="same rating in every aspect in", found=straight.share, most=0.9),
        ]
        return RaterReport(
            tasks=tasks,
            shared=shared,
            gold=gold,
            consensus=consensus,
            retest=again,
            straight=straight,
            speed=fast,
            doubts=doubts(checks),
        )


def _straight(ratings: Iterable[Rating], exclude: Collection[str]) -> Marks:
    doubtful = frozenset(exclude) - CHECKS
    marks = Marks(list)
    for rating in ratings:
        if len(rating.values) > 1 and not rating.flags & doubtful:
            same = len(set(rating.values.values())) == 1
            marks[rating.annotator].append((rating.key, same))
    return marks
