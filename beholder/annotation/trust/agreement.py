"""How far annotators of pairs agree, how far each can be trusted, and which side they favour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from types import MappingProxyType

from beholder.annotation.joining.answers import (
    DOUBTFUL,
    Answer,
    answered,
    answers_without,
    by_aspect,
    by_pair,
)
from beholder.annotation.mapping import Kind, TaskSides
from beholder.annotation.trust.alpha import agreeing_share, krippendorff_alpha, percent_agreement
from beholder.annotation.trust.annotators import AnnotatorReport, Evidence, right_first
from beholder.annotation.trust.intervals import Interval, bootstrap_mean, plain
from beholder.annotation.trust.kappa import CohenKappas, FleissKappa, cohen_kappas, fleiss_kappa
from beholder.annotation.trust.overlap import Overlap, overlap
from beholder.annotation.trust.quality import UNKNOWN, Share, left_marks
from beholder.annotation.trust.repeats import Retest, retest
from beholder.annotation.trust.speed import Pace
from beholder.types import Comparison

_DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AspectAgreement:
    """Agreement of all annotators in one aspect.

    Attributes:
        answers: answers that count.
        tasks: pairs with two answers or more, on which everything below rests.
        ties: share of ties among all answers.
        percent: share of agreeing pairs of answers, mean over tasks, in [0, 1].
        alpha_nominal, alpha_ordinal: Krippendorff's alpha: 1 perfect, 0 chance; NaN if no task
            was answered twice or all answers are equal.
        fleiss: Fleiss' kappa on the tasks with the commonest number of answers.
        cohen: Cohen's kappa of every two annotators, and its mean.
    """

    answers: int
    tasks: int
    ties: float
    percent: float
    alpha_nominal: Interval
    alpha_ordinal: Interval
    fleiss: FleissKappa
    cohen: CohenKappas


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementReport:
    """Agreement by aspect, by annotator, on the tasks that several answered, and side bias.

    Attributes:
        aspects: agreement in each aspect.
        annotators: each annotator; answers of "unknown" ones count only in the others' figures.
        sides: aspect -> share of answers for the left picture among those that are no tie; 0.5 is
            no bias.
        overlap: the tasks that several people answered.
        gold_tasks: tasks with a known answer that somebody answered.
        retest: mirrored repeats of all annotators together.
        paces: kind of task -> how fast all annotators are.
    """

    aspects: Mapping[str, AspectAgreement]
    annotators: Mapping[str, AnnotatorReport]
    sides: Mapping[str, Share]
    overlap: Overlap
    gold_tasks: int
    retest: Retest
    paces: Mapping[Kind, Pace]

    def as_json(self) -> dict[str, object]:
        """The same as plain JSON values; null where a number is not defined."""
        return {name: plain(value) for name, value in asdict(self).items()}


def agreement(
    comparisons: Iterable[Comparison],
    *,
    sides: Mapping[str, TaskSides] = MappingProxyType({}),
    overlap_percent: float | None = None,
    exclude: Collection[str] = DOUBTFUL,
    seed: int = 0,
) -> AgreementReport:
    """All that can be measured of the annotators.

    Args:
        comparisons: all of them, flagged or not: gold tasks and mirrored repeats are found by
            their flags "gold" and "repeat".
        sides: what was asked, by key. Without it the first picture counts as shown on the left,
            and gold answers and repeats are not known.
        overlap_percent: how many of 100 tasks were meant for several people.
        exclude: flags whose comparisons do not count.
        seed: draws the bootstrap samples of tasks.

    Raises:
        ConfigError: if `overlap_percent` lies outside [0, 100].
    """
    records = list(answered(comparisons))
    answers = by_aspect(answers_without(records, exclude))
    swapped = right_first(sides)
    evidence = Evidence.of(records, sides, exclude)
    percent = {aspect: _percent(mine, seed) for aspect, mine in answers.items()}
    return AgreementReport(
        aspects={aspect: aspect_agreement(mine, seed=seed) for aspect, mine in answers.items()},
        annotators=evidence.annotators(),
        sides={
            aspect: Share.of(chain.from_iterable(left_marks(mine, swapped).values()))
            for aspect, mine in answers.items()
        },
        overlap=overlap(evidence.given, percent, overlap_percent),
        gold_tasks=len({key for marks in evidence.gold.values() for key, _ in marks}),
        retest=retest(list(chain.from_iterable(evidence.twice.values()))),
        paces=evidence.paces,
    )


def aspect_agreement(answers: Sequence[Answer], *, seed: int = 0) -> AspectAgreement:
    """Agreement of answers in one aspect, one or more."""
    pairs = by_pair(answers)
    units = [[a.value for a in unit] for unit in pairs.values()]
    keys = [pair.key for pair in pairs]
    named = [
        {a.annotator: a.value for a in unit if a.annotator != UNKNOWN} for unit in pairs.values()
    ]
    return AspectAgreement(
        answers=len(answers),
        tasks=sum(len(unit) > 1 for unit in units),
        ties=sum(a.value == 0 for a in answers) / len(answers),
        percent=percent_agreement(units),
        alpha_nominal=krippendorff_alpha(units, "nominal", tasks=keys, draws=_DRAWS, seed=seed),
        alpha_ordinal=krippendorff_alpha(units, "ordinal", tasks=keys, draws=_DRAWS, seed=seed),
        fleiss=fleiss_kappa(units, draws=_DRAWS, seed=seed),
        cohen=cohen_kappas(named, draws=_DRAWS, seed=seed),
    )


def _percent(answers: Iterable[Answer], seed: int) -> Interval:
    """Share of agreeing pairs of answers, mean over tasks; a task is all pairs of its pictures."""
    shares: defaultdict[str, list[float]] = defaultdict(list)
    for pair, unit in by_pair(answers).items():
        if len(unit) > 1:
            shares[pair.key].append(agreeing_share([a.value for a in unit]))
    return bootstrap_mean([sum(s) / len(s) for s in shares.values()], draws=_DRAWS, seed=seed)
