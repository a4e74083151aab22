"""How well people predict each other: what a reward can hope for, in the same figures.

The annotators of each picture are split at random into two groups; one plays the reward, the other
the truth. `halves` compares groups of equal size (of an odd number the truth has one more), and
`one-against-rest` one annotator with all others. With three annotators or two they are the same.
Both sides are smaller than the whole group, so this is a low estimate of the ceiling of a truth to
which all contribute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, pstdev
from types import MappingProxyType

import numpy as np
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.eval._estimate import Estimate
from beholder.eval.feedback import Answer, FeedbackMeasures
from beholder.types import MAPS, Feedback, Point, Rating
from beholder.words import label_words

Heat = Callable[[Sequence[Sequence[Point]]], Tensor]
"""Points of each annotator -> grey levels (h, w) of their mean map, uint8."""

FORMS: Mapping[str, Callable[[int], int]] = MappingProxyType(
    {"halves": lambda annotators: annotators // 2, "one-against-rest": lambda annotators: 1}
)
"""Name of each form, and how many of a picture's annotators play the reward."""

_Group = Sequence[Sequence[Rating]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CeilingFigure:
    """One figure between people.

    Attributes:
        value: mean over the splits; None where no split defines it.
        spread: standard deviation over the splits; not the uncertainty of few pictures.
        samples: pictures, or words, that count in it; of the last split.
        why: why there is no value; "" if there is one.
    """

    value: float | None
    spread: float | None
    samples: int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """Every figure between people, under the names of `beholder.eval.feedback`.

    Attributes:
        figures: name -> mean over the splits.
        form: "halves" or "one-against-rest".
        pictures: how many were split.
        alone: pictures left out, since a single annotator rated them.
        repeats, seed: of the splits.
    """

    figures: Mapping[str, CeilingFigure]
    form: str
    pictures: int
    alone: int
    repeats: int
    seed: int

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return asdict(self)


def human_ceiling(
    ratings: Iterable[Rating],
    *,
    heat: Heat | None = None,
    form: str = "halves",
    repeats: int = 10,
    seed: int = 0,
) -> Ceiling:
    """How well one part of the annotators predicts the other, mean over random splits.

    Several ratings of one picture by one annotator stay together. Flags are not looked at: give
    the ratings that count.

    Args:
        ratings: of several annotators on the same pictures.
        heat: draws the points of a group; None leaves out maps.
        form: one of `FORMS`.
        repeats: how many splits.
        seed: of the splits.

    Raises:
        ConfigError: if the form is unknown or `repeats` is not positive.
        DataError: if no picture has two or more annotators.
    """
    if form not in FORMS:
        raise ConfigError(f"no form named {form!r}; known: {', '.join(FORMS)}")
    if repeats < 1:
        raise ConfigError(f"repeats must be 1 or more, got {repeats}")
    everybody = _by_picture(ratings)
    groups = [group for group in everybody if len(group) > 1]
    if not groups:
        raise DataError("no picture has two or more annotators; people cannot be compared")
    generator = np.random.default_rng(seed)
    rounds = [_figures(groups, FORMS[form], heat, generator) for _ in range(repeats)]
    return Ceiling(
        figures={name: _mean([figures[name] for figures in rounds]) for name in rounds[0]},
        form=form,
        pictures=len(groups),
        alone=len(everybody) - len(groups),
        repeats=repeats,
        seed=seed,
    )


def _by_picture(ratings: Iterable[Rating]) -> list[_Group]:
    """For each picture the ratings of each of its annotators."""
    pictures: defaultdict[tuple[str, str, str], defaultdict[str, list[Rating]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for rating in ratings:
        pictures[rating.key, rating.prompt, rating.image][rating.annotator].append(rating)
    return [list(group.values()) for group in pictures.values()]


def _figures(
    groups: Sequence[_Group],
    predictors: Callable[[int], int],
    heat: Heat | None,
    generator: np.random.Generator,
) -> dict[str, Estimate]:
    measures = FeedbackMeasures()
    for group in groups:
        order, cut = generator.permutation(len(group)), predictors(len(group))
        first, second = (
            _together([rating for k in part for rating in group[k]], heat)
            for part in (order[:cut], order[cut:])
        )
        measures.add(_as_answer(first), second)
    return measures.figures(draws=1)  # only the values are used


def _together(ratings: Sequence[Rating], heat: Heat | None) -> Feedback:
    values: defaultdict[str, list[float]] = defaultdict(list)
    for rating in ratings:
        for aspect, value in rating.values.items():
            values[aspect].append(value)
    first = ratings[0]
    return Feedback(
        key=first.key,
        prompt=first.prompt,
        image=first.image,
        values={aspect: fmean(given) for aspect, given in values.items()},
        maps={kind: heat([r.points.get(kind, ()) for r in ratings]) for kind in MAPS}
        if heat
        else {},
        words=label_words(first.prompt, [rating.misaligned for rating in ratings]),
        votes=len(ratings),
    )


def _as_answer(said: Feedback) -> Answer:
    maps = {kind: grey.float() / 255 for kind, grey in said.maps.items()}
    return Answer(values=said.values, maps=maps, words=said.words)


def _mean(found: Sequence[Estimate]) -> CeilingFigure:
    values = [estimate.value for estimate in found if estimate.value is not None]
    samples, why = found[-1].samples, found[-1].why
    if not values:
        return CeilingFigure(value=None, spread=None, samples=samples, why=why)
    return CeilingFigure(value=fmean(values), spread=pstdev(values), samples=samples)
