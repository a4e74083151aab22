"""How well a reward predicts rich feedback: four scores, two heatmaps and the missed words.

A measured number has a name of two or three parts, the same in every table:

    plausibility.plcc   overall.srcc              an aspect's correlation, see correlation.py
    implausibility.cc   misalignment.mse_empty    a map kind's measure, see heatmaps.py
    words.micro.f1      words.average_precision   see keywords.py
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice

from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.eval._bootstrap import LEVEL
from beholder.eval._estimate import Estimate
from beholder.eval._sheets.evaluation import feedback_evaluation_sheet
from beholder.eval.correlation import correlations
from beholder.eval.heatmaps import HeatmapMeasures, truth_map
from beholder.eval.keywords import KeywordMeasures
from beholder.eval.preference import PictureScorer
from beholder.types import Feedback, Scores, WordLabel


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a reward, or another group of people, says about one picture.

    Attributes:
        values: aspect -> score; only their order and proportions count.
        maps: kind -> heatmap (h, w) in [0, 1].
        words: the words of the prompt with their probabilities; None if words are not answered.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    words: Sequence[WordLabel] | None = None

    def fault(self) -> str:
        """Why this answer cannot be measured; "" if it can."""
        for aspect, value in self.values.items():
            if not math.isfinite(value):
                return f"non-finite: the score of {aspect} is {value}"
        for kind, drawn in self.maps.items():
            if not ((drawn >= 0) & (drawn <= 1)).all():
                return f"range: the map of {kind} holds values outside [0, 1]"
        for word in self.words or ():
            if not 0 <= word.p_misaligned <= 1:
                return f"range: the probability of {word.word!r} is {word.p_misaligned}"
        return ""


class FeedbackMeasures:
    """Gathers answers one after another; of each map it keeps a few numbers.

    Each part of a truth is measured where the answer has it too; `unanswered` counts, under names
    such as "maps.misalignment", how often it has not. Words without a prediction count as
    "words.without_prediction".

    Args:
        threshold: a word of a higher probability is predicted to be misaligned.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        self._values: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self._maps: defaultdict[str, HeatmapMeasures] = defaultdict(HeatmapMeasures)
        self._words = KeywordMeasures(threshold)
        self.unanswered: Counter[str] = Counter()

    def add(self, answer: Answer, truth: Feedback) -> None:
        """Measure one answer whose `fault` is empty."""
        for aspect in self._common("values", answer.values, truth.values):
            self._values[aspect].append((answer.values[aspect], truth.values[aspect]))
        for kind in self._common("maps", answer.maps, truth.maps):
            drawn = answer.maps[kind]
            height, width = drawn.shape
            self._maps[kind].add(drawn, truth_map(truth.maps[kind], (height, width)))
        if truth.words and answer.words is None:
            self.unanswered["words"] += 1
        elif truth.words and answer.words is not None:
            lost = self._words.add_labels(answer.words, truth.words)
            self.unanswered.update({"words.without_prediction": lost} if lost else {})

    def figures(self, *, draws: int = 2000, seed: int = 0) -> dict[str, Estimate]:
        """Every measured number by its name; ConfigError if `draws` is not positive."""
        found: dict[str, Estimate] = {}
        for aspect, pairs in self._values.items():
            given, truth = zip(*pairs, strict=True)
            found |= _named(aspect, correlations(given, truth, draws=draws, seed=seed))
        for kind, measures in self._maps.items():
            found |= _named(kind, measures.estimates(draws=draws, seed=seed))
        if len(self._words):
            found |= _named("words", self._words.estimates(draws=draws, seed=seed))
        return found

    def _common(
        self, part: str, given: Mapping[str, object], wanted: Mapping[str, object]
    ) -> list[str]:
        self.unanswered.update(f"{part}.{name}" for name in wanted if name not in given)
        return [name for name in wanted if name in given]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """A record that the reward could not answer, and why."""

    key: str
    image: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackEvaluation:
    """A reward measured on people's rich feedback.

    Attributes:
        figures: every measured number by its name; see the top of this file.
        scored_by: aspect -> which score was taken: the aspect's own or "total".
        records: how many came, the unscored among them.
        unscored: those that count nowhere, each with its reason.
        unanswered: part of the feedback -> records in which the reward has no such part; also
            "words.without_prediction", in words.
        threshold: above which a word is predicted to be misaligned.
        level, draws, seed: of the bootstrap over pictures.
    """

    figures: Mapping[str, Estimate]
    scored_by: Mapping[str, str]
    records: int
    unscored: Sequence[Unscored]
    unanswered: Mapping[str, int]
    threshold: float
    draws: int
    seed: int
    level: float = LEVEL

    def reasons(self) -> dict[str, int]:
        """How many records are unscored, by the short code before the colon of the reason."""
        return dict(Counter(record.why.partition(":")[0] for record in self.unscored))

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return asdict(self)

    def rows(self) -> list[dict[str, str | float | int | None]]:
        """One row a figure: figure, value, low, high, samples, why."""
        return [{"figure": name, **found.as_dict()} for name, found in self.figures.items()]

    def __repr__(self) -> str:
        return feedback_evaluation_sheet(self).text()

    def _repr_html_(self) -> str:
        return feedback_evaluation_sheet(self).html()


def evaluate_feedback(
    reward: PictureScorer,
    records: Iterable[Feedback],
    *,
    batch_size: int = 32,
    threshold: float = 0.5,
    draws: int = 2000,
    seed: int = 0,
) -> FeedbackEvaluation:
    """A reward's scores, maps and words measured on feedback, a batch of records at a time.

    An aspect is judged by the reward's score of that name, or by its total if it has none; a map
    at the resolution at which the reward draws. A record takes part in what it has.

    Args:
        reward: scores pictures for prompts.
        records: what people say; their pictures are paths.
        batch_size: records that are read and scored at once.
        threshold: a word of a higher probability is predicted to be misaligned.
        draws: how often pictures are redrawn.
        seed: of the draws.

    Raises:
        ConfigError: if `batch_size` or `draws` is not positive.
        DataError: if there is no record, or the reward answers another number of pictures.
    """
    _check(batch_size=batch_size, draws=draws)
    measures, unscored, count = FeedbackMeasures(threshold), list[Unscored](), 0
    scored_by: dict[str, str] = {}
    for batch in _batches(records, batch_size):
        count += len(batch)
        scores = _scores(reward, batch)
        unscored += _measure(scores, batch, measures)
        scored_by |= _scored_by(scores, batch)
    if not count:
        raise DataError("there is no feedback to evaluate on")
    return FeedbackEvaluation(
        figures=measures.figures(draws=draws, seed=seed),
        scored_by=scored_by,
        records=count,
        unscored=unscored,
        unanswered=dict(measures.unanswered),
        threshold=threshold,
        draws=draws,
        seed=seed,
    )


def _batches(records: Iterable[Feedback], size: int) -> Iterator[list[Feedback]]:
    source = iter(records)
    while batch := list(islice(source, size)):
        yield batch


def _scores(reward: PictureScorer, batch: Sequence[Feedback]) -> Scores:
    scores = reward.score([r.image for r in batch], [r.prompt for r in batch]).detach()
    if len(scores) != len(batch):
        raise DataError(f"the reward answered {len(scores)} of {len(batch)} pictures")
    return scores


def _measure(
    scores: Scores, batch: Sequence[Feedback], measures: FeedbackMeasures
) -> list[Unscored]:
    """Measure each record that the reward could answer; the others."""
    unscored = []
    for row, record in enumerate(batch):
        answer = _answer(scores, row, record)
        if why := scores.errors.get(row) or answer.fault():
            unscored.append(Unscored(key=record.key, image=record.image, why=why))
        else:
            measures.add(answer, record)
    return unscored


def _scored_by(scores: Scores, batch: Sequence[Feedback]) -> dict[str, str]:
    return {
        aspect: aspect if aspect in scores.aspects else "total"
        for row, record in enumerate(batch)
        if row not in scores.errors
        for aspect in record.values
    }


def _check(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ConfigError(f"{name} must be 1 or more, got {value}")


def _answer(scores: Scores, row: int, record: Feedback) -> Answer:
    return Answer(
        values={a: float(scores.aspects.get(a, scores.total)[row]) for a in record.values},
        maps={kind: maps[row] for kind, maps in scores.maps.items()},
        words=scores.words[row] if scores.words else None,
    )


def _named(part: str, found: Mapping[str, Estimate]) -> dict[str, Estimate]:
    return {f"{part}.{name}": value for name, value in found.items()}
