"""Everything that tells how far one annotator of pairs can be trusted."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from beholder.annotation.joining.answers import CHECKS, DOUBTFUL, Record, answers_without, by_aspect
from beholder.annotation.mapping import Kind, TaskSides
from beholder.annotation.trust.doubts import Check, doubts
from beholder.annotation.trust.overlap import shared_tasks
from beholder.annotation.trust.quality import (
    UNKNOWN,
    Marks,
    PeerAgreement,
    Share,
    consensus_marks,
    gold_marks,
    known_answers,
    left_marks,
    peer_agreement,
    straight_marks,
)
from beholder.annotation.trust.repeats import Retest, Twice, repeated_answers, retest
from beholder.annotation.trust.speed import Pace, Speed, paces, speed, speeds


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorReport:
    """What is known of one annotator.

    Attributes:
        tasks: tasks answered, gold tasks and repeats not counted.
        shared: how many of them somebody else answered too.
        peers: aspect -> agreement with the others.
        others: its mean over aspects; NaN if nobody shares a task.
        gold: share of right answers to tasks whose answer is known.
        consensus: share of answers that more than half of the others give, where two or more did.
        retest: answers to mirrored repeats.
        left: share of answers for the left picture among those that are no tie.
        straight: share of tasks with the same answer to every aspect.
        speed: how fast.
        doubts: why the annotator should be looked at; none if empty.
    """

    tasks: int
    shared: int
    peers: Mapping[str, PeerAgreement]
    others: float
    gold: Share
    consensus: Share
    retest: Retest
    left: Share
    straight: Share
    speed: Speed
    doubts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for and against each annotator, by name.

    Attributes:
        given: (key, annotator) of every task that somebody answered.
        peers: aspect -> agreement with the others.
        gold, consensus, left, straight: which answers are right, are what most of the others say,
            prefer the left picture, are the same in every aspect.
        twice: answers to mirrored repeats.
        paces: how fast all annotators are, by kind of task.
        speeds: how fast each is.
    """

    given: Sequence[tuple[str, str]]
    peers: Mapping[str, Mapping[str, PeerAgreement]]
    gold: Marks
    consensus: Marks
    left: Marks
    straight: Marks
    twice: Mapping[str, Sequence[Twice]]
    paces: Mapping[Kind, Pace]
    speeds: Mapping[str, Speed]

    @classmethod
    def of(
        cls,
        records: Sequence[Record],
        sides: Mapping[str, TaskSides],
        exclude: Collection[str] = DOUBTFUL,
    ) -> Evidence:
        """All evidence in the records; flags of `exclude` keep one out of what they speak to."""
        comparisons = [comparison for comparison, _ in records]
        doubtful = frozenset(exclude)
        answers = answers_without(records, doubtful)
        known = known_answers(records, sides, doubtful)
        pace = paces(comparisons, doubtful)
        return cls(
            given=[
                (c.key, c.annotator) for c, given in records if given and not c.flags & doubtful
            ],
            peers={aspect: peer_agreement(mine) for aspect, mine in by_aspect(answers).items()},
            gold=gold_marks(answers_without(records, doubtful - {"gold"}), known),
            consensus=consensus_marks(answers),
            left=left_marks(answers, right_first(sides)),
            straight=straight_marks(answers_without(records, doubtful - CHECKS)),
            twice=repeated_answers(comparisons, sides, doubtful),
            paces=pace,
            speeds=speeds(comparisons, pace, doubtful),
        )

    def annotators(self) -> dict[str, AnnotatorReport]:
        """A report on each annotator, by name; "unknown" has none."""
        named = {name for _, name in self.given}.union(self.gold, self.twice, self.speeds)
        tasks = shared_tasks(self.given)
        return {
            name: self._annotator(name, *tasks.get(name, (0, 0)))
            for name in sorted(named - {UNKNOWN})
        }

    def _annotator(self, name: str, tasks: int, shared: int) -> AnnotatorReport:
        gold, consensus, left, straight = (
            Share.of(marks.get(name, ()))
            for marks in (self.gold, self.consensus, self.left, self.straight)
        )
        peers = {a: found[name] for a, found in self.peers.items() if name in found}
        agreeing = [p.agreement for p in peers.values() if math.isfinite(p.agreement)]
        again = retest(self.twice.get(name, ()))
        fast = self.speeds.get(name) or speed(())
        checks = [
            Check(what="right on gold tasks in", found=gold.share, least=0.7),
            Check(what="agrees with most of the others in", found=consensus.share, least=0.5),
            Check(what="same answer to mirrored repeats in", found=again.same, least=0.6),
            Check(what="left minus right in repeats is", found=again.bias, least=-0.1, most=0.1),
            Check(what="prefers the left picture in", found=left.share, least=0.4, most=0.6),
            Check(what="too fast in", found=fast.too_fast, most=0.05),
            Check(what="same answer to every aspect in", found=straight.share, most=0.9),
        ]
        return AnnotatorReport(
            tasks=tasks,
            shared=shared,
            peers=peers,
            others=fmean(agreeing) if agreeing else math.nan,
            gold=gold,
            consensus=consensus,
            retest=again,
            left=left,
            straight=straight,
            speed=fast,
            doubts=doubts(checks),
        )


def right_first(sides: Mapping[str, TaskSides]) -> set[str]:
    """Keys of the tasks whose first picture was shown on the right."""
    return {key for key, task in sides.items() if task.left_is == "b"}
