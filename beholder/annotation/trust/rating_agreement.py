"""How far annotators agree in what they rate and mark in pictures, as in RichHF."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, combinations
from statistics import fmean
from types import MappingProxyType

from torch import Tensor

from beholder.annotation.joining.answers import DOUBTFUL
from beholder.annotation.joining.heatmaps import HeatConfig, annotator_map
from beholder.annotation.mapping import Kind, TaskPicture
from beholder.annotation.trust.alpha import agreeing_share, krippendorff_alpha
from beholder.annotation.trust.closeness import Closeness, near_share
from beholder.annotation.trust.intervals import Interval, bootstrap_mean, plain
from beholder.annotation.trust.kappa import CohenKappas, cohen_kappas
from beholder.annotation.trust.overlap import Overlap, overlap
from beholder.annotation.trust.quality import UNKNOWN
from beholder.annotation.trust.raters import RaterReport, RatingEvidence
from beholder.annotation.trust.speed import Pace
from beholder.types import MAPS, RATED, Point, Rating
from beholder.words import label_words

_DRAWS = 1000
_GRID = (64, 64)
_DISCS = HeatConfig(size=_GRID)

Groups = Mapping[str, Sequence[Rating]]
"""Key -> the ratings of a task that count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedAgreement:
    """Agreement of all annotators in one rated aspect.

    Attributes:
        answers: ratings that count.
        tasks: pictures with two ratings or more, on which the agreement rests.
        mean: mean rating, in [0, 1].
        near: share of pairs of ratings at most one step of five apart, mean over tasks: "good
            agreement" in Liang et al. (CVPR 2024).
        equal: share that are equal: "perfect agreement".
        alpha_ordinal, alpha_interval: Krippendorff's alpha: 1 perfect, 0 chance.
        cohen: Cohen's kappa of every two annotators, and its mean.
    """

    answers: int
    tasks: int
    mean: float
    near: Interval
    equal: Interval
    alpha_ordinal: Interval
    alpha_interval: Interval
    cohen: CohenKappas


@dataclass(frozen=True, slots=True, kw_only=True)
class WordAgreement:
    """Agreement on which words of the prompt a picture misses.

    Attributes:
        tasks: pictures with two answers or more.
        words: words of their prompts.
        marked: share of marks among all answers to a word.
        alpha: Krippendorff's nominal alpha with a word as a unit; the bootstrap draws tasks.
    """

    tasks: int
    words: int
    marked: float
    alpha: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class PointAgreement:
    """Agreement on where faults of one kind are.

    Attributes:
        tasks: pictures with two answers or more.
        iou: intersection over union of two annotators' discs of radius height / 20, on a grid of
            64 x 64; mean over pairs, then tasks. 1 where neither marks anything.
        neither: share of pairs of annotators of whom neither marks anything.
        iou_marked: the same over pairs of whom at least one does.
    """

    tasks: int
    iou: Interval
    neither: float
    iou_marked: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingAgreement:
    """Agreement by rated aspect, in words and points, and by annotator.

    Attributes:
        aspects: agreement in each rated aspect.
        words: agreement in misaligned words.
        points: map kind -> agreement in marked places.
        annotators: each annotator; answers of "unknown" ones count only in the others' figures.
        overlap: the tasks that several people answered; its agreement is `equal`.
        gold_tasks: tasks with a known answer that somebody answered.
        retest: repeated pictures of all annotators together.
        paces: kind of task -> how fast all annotators are.
    """

    aspects: Mapping[str, RatedAgreement]
    words: WordAgreement
    points: Mapping[str, PointAgreement]
    annotators: Mapping[str, RaterReport]
    overlap: Overlap
    gold_tasks: int
    retest: Closeness
    paces: Mapping[Kind, Pace]

    def as_json(self) -> dict[str, object]:
        """The same as plain JSON values; null where a number is not defined."""
        return {name: plain(value) for name, value in asdict(self).items()}


def rating_agreement(
    ratings: Iterable[Rating],
    *,
    tasks: Mapping[str, TaskPicture] = MappingProxyType({}),
    overlap_percent: float | None = None,
    exclude: Collection[str] = DOUBTFUL,
    seed: int = 0,
) -> RatingAgreement:
    """All that can be measured of the annotators of single pictures.

    Args:
        ratings: all of them, flagged or not: gold tasks and repeats are found by their flags.
        tasks: what was asked, by key; without it gold answers and repeats are not known.
        overlap_percent: how many of 100 tasks were meant for several people.
        exclude: flags whose ratings do not count.
        seed: draws the bootstrap samples of tasks.

    Raises:
        ConfigError: if `overlap_percent` lies outside [0, 100].
    """
    held = list(ratings)
    groups = counted_ratings(held, exclude)
    evidence = RatingEvidence.of(held, groups, tasks, exclude)
    aspects = {a: _rated(groups, a, seed) for a in rated_aspects(groups)}
    given = [(r.key, r.annotator) for group in groups.values() for r in group]
    return RatingAgreement(
        aspects=aspects,
        words=_words(groups, seed),
        points={kind: _points(groups, kind, seed) for kind in MAPS},
        annotators=evidence.annotators(),
        overlap=overlap(given, {a: x.equal for a, x in aspects.items()}, overlap_percent),
        gold_tasks=len({key for gaps in evidence.gold.values() for key, _ in gaps}),
        retest=Closeness.of(chain.from_iterable(evidence.again.values())),
        paces=evidence.paces,
    )


def counted_ratings(
    ratings: Iterable[Rating], exclude: Iterable[str] = DOUBTFUL
) -> dict[str, list[Rating]]:
    """Key -> its ratings that carry none of the `exclude` flags."""
    unwanted = frozenset(exclude)
    groups: defaultdict[str, list[Rating]] = defaultdict(list)
    for rating in ratings:
        if not rating.flags & unwanted:
            groups[rating.key].append(rating)
    return dict(groups)


def rated_aspects(groups: Groups) -> list[str]:
    """The aspects that are rated: those of RichHF first, the others by name."""
    found = {aspect for group in groups.values() for rating in group for aspect in rating.values}
    return [a for a in RATED if a in found] + sorted(found.difference(RATED))


def _rated(groups: Groups, aspect: str, seed: int) -> RatedAgreement:
    units = [[r.values[aspect] for r in g if aspect in r.values] for g in groups.values()]
    shared = [unit for unit in units if len(unit) > 1]
    named = [
        {r.annotator: r.values[aspect] for r in g if aspect in r.values and r.annotator != UNKNOWN}
        for g in groups.values()
    ]
    values = [value for unit in units for value in unit]
    return RatedAgreement(
        answers=len(values),
        tasks=len(shared),
        mean=fmean(values),
        near=bootstrap_mean([near_share(unit) for unit in shared], draws=_DRAWS, seed=seed),
        equal=bootstrap_mean([agreeing_share(unit) for unit in shared], draws=_DRAWS, seed=seed),
        alpha_ordinal=krippendorff_alpha(units, "ordinal", draws=_DRAWS, seed=seed),
        alpha_interval=krippendorff_alpha(units, "interval", draws=_DRAWS, seed=seed),
        cohen=cohen_kappas(named, draws=_DRAWS, seed=seed),
    )


def _words(groups: Groups, seed: int) -> WordAgreement:
    units: list[tuple[float, ...]] = []
    tasks: list[str] = []
    for key, group in groups.items():
        if len(group) > 1:
            labels = [label_words(r.prompt, [r.misaligned]) for r in group]
            marks = zip(*([word.p_misaligned for word in one] for one in labels), strict=True)
            units += marks
            tasks += [key] * (len(units) - len(tasks))
    answers = [mark for unit in units for mark in unit]
    return WordAgreement(
        tasks=len(set(tasks)),
        words=len(units),
        marked=fmean(answers) if answers else math.nan,
        alpha=krippendorff_alpha(units, "nominal", tasks=tasks, draws=_DRAWS, seed=seed),
    )


def _points(groups: Groups, kind: str, seed: int) -> PointAgreement:
    """Agreement in the marks of one kind; a pair that marks nothing has no overlap of its own."""
    shared = [_overlaps(group, kind) for group in groups.values() if len(group) > 1]
    pairs = [value for task in shared for value in task]
    marked = [[value for value in task if value is not None] for task in shared]
    return PointAgreement(
        tasks=len(shared),
        iou=bootstrap_mean(
            [fmean(1.0 if v is None else v for v in task) for task in shared], seed=seed
        ),
        neither=pairs.count(None) / len(pairs) if pairs else math.nan,
        iou_marked=bootstrap_mean([fmean(task) for task in marked if task], seed=seed),
    )


def _overlaps(group: Sequence[Rating], kind: str) -> list[float | None]:
    """Intersection over union of every two annotators' discs; None where neither marks any."""
    places = [rating.points.get(kind, ()) for rating in group]
    discs = [_disc_union(points) for points in places]
    return [_iou(one, other) for one, other in combinations(discs, 2)]


def _disc_union(points: Sequence[Point]) -> Tensor | None:
    return annotator_map(points, _GRID, _DISCS) > 0 if points else None


def _iou(one: Tensor | None, other: Tensor | None) -> float | None:
    if one is None and other is None:
        return None
    if one is None or other is None:
        return 0.0
    return ((one & other).sum() / (one | other).sum()).item()
