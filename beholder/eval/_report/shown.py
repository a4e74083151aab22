"""What a report shows: plain records. Nothing here decodes a picture or knows a model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from beholder._notebook.framed import framed
from beholder._notebook.plain import counted
from beholder._page.feedback import PictureFeedback
from beholder._page.thumbnails import Fit
from beholder.errors import DataError
from beholder.eval.leaderboard import Leaderboard
from beholder.images import ImageSource
from beholder.types import Explanation

Values = Sequence[float] | npt.NDArray[np.float64]

_NOTEBOOK_BYTES = 6_000_000
"""Of the page in a notebook, which keeps it in its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyRow:
    """How often one method agrees with people about one aspect, on pairs held out of training.

    Attributes:
        accuracy: share of pairs, in [0, 1]; 0.5 is chance.
        low, high: its 95 % interval.
        pairs: how many pairs are behind it.
        baseline: whether this is something to compare with, not the model of the report.
    """

    aspect: str
    method: str
    accuracy: float
    low: float
    high: float
    pairs: int
    baseline: bool = False

    def __post_init__(self) -> None:
        for name, value in (("accuracy", self.accuracy), ("low", self.low), ("high", self.high)):
            if not 0 <= value <= 1:
                raise DataError(
                    f"{name} of {self.method!r} for {self.aspect} is {value}, expected [0, 1]"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRow:
    """One checkpoint's place; rows are shown in the order in which they are given.

    Attributes:
        strength: Bradley-Terry strength, in nats.
        low, high: its 95 % interval.
        win_rate: share of comparisons that it wins, in [0, 1]; None if unknown.
        mean: mean score; None if unknown.
        pictures: how many pictures are behind it; None if unknown.
    """

    name: str
    strength: float
    low: float
    high: float
    win_rate: float | None = None
    mean: float | None = None
    pictures: int | None = None

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.strength, self.low, self.high))):
            raise DataError(
                f"the strength of {self.name!r} is {self.strength} [{self.low}, {self.high}], "
                "expected finite numbers"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPicture:
    """One picture with its prompt and scores.

    Attributes:
        image: what `beholder.images.read_image` reads.
        total: the score; higher is better.
        aspects: aspect -> score.
        name: what the reader should call the picture, such as its file name.
        group: the checkpoint that made it; "" if there is none.
        category: of its prompt; "" if there is none.
        seed: tells apart the pictures that a checkpoint made of one prompt; "" if there is none.
        others: further scores by the name of their column, such as those of other rewards.
    """

    image: ImageSource
    prompt: str
    total: float
    aspects: Mapping[str, float] = field(default_factory=dict)
    name: str = ""
    group: str = ""
    category: str = ""
    seed: str = ""
    others: Mapping[str, float] = field(default_factory=dict)

    def score(self, aspect: str) -> float:
        """The score of an aspect, of "total" or of a further column; NaN if there is none."""
        if aspect == "total":
            return self.total
        return self.aspects.get(aspect, self.others.get(aspect, math.nan))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Pictures that a reader can sort, filter, enlarge and compare.

    Attributes:
        pictures: the most important first: where they do not fit on the page, the last are left
            out.
        ranges: name of each score -> its lowest and highest value in the whole table; the first
            sorts the gallery until the reader chooses another.
        of: how many pictures with a score the table has.
        how: how those shown were chosen, as a sentence; "" if all are shown.
        checkpoints: in the order in which they are listed and compared.
    """

    pictures: Sequence[ScoredPicture]
    ranges: Mapping[str, tuple[float, float]]
    of: int
    how: str = ""
    checkpoints: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One checkpoint over the dimensions of a reward.

    Attributes:
        shares: dimension -> mean share of all pictures that its pictures beat, ties half, in
            [0, 1]; 0.5 is the average picture.
        means: dimension -> mean score.
    """

    name: str
    shares: Mapping[str, float]
    means: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A pair of pictures that people and the model see differently.

    Attributes:
        people: aspect -> share of answers for `first`, in [0, 1].
        model: aspect -> the model's probability that `first` is preferred.
        votes: aspect -> number of answers.
    """

    prompt: str
    first: ImageSource
    second: ImageSource
    people: Mapping[str, float]
    model: Mapping[str, float]
    votes: Mapping[str, int] = field(default_factory=dict)

    def gap(self, aspect: str) -> float:
        """|people - model| of an aspect; 0 if both lean to one side or people are undecided."""
        people = self.people.get(aspect, 0.5)
        model = self.model.get(aspect, people)
        is_opposite = (people - 0.5) * (model - 0.5) <= 0 and people != 0.5
        return abs(people - model) if is_opposite else 0.0

    @property
    def widest_gap(self) -> float:
        """The largest gap over all aspects."""
        return max((self.gap(aspect) for aspect in self.people), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedPicture:
    """How each condition of a reward sees one picture.

    Attributes:
        explanations: what `explain` of the reward gave.
        fit: how the reward made the picture square: the attention map lies on that square.
    """

    image: ImageSource
    prompt: str
    explanations: Sequence[Explanation]
    fit: Fit = "crop"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSummary:
    """What a filter kept and dropped.

    Attributes:
        rule: the rule as the user wrote it.
        reasons: why -> how many pictures were dropped for it.
        barely_kept, barely_dropped: examples from both sides of the boundary.
    """

    rule: str
    kept: int
    dropped: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    barely_kept: Sequence[ScoredPicture] = ()
    barely_dropped: Sequence[ScoredPicture] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A picture that could not be scored: its name, a short code for counting, and the reason."""

    name: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything on the page; a section whose data is empty is not shown.

    Attributes:
        title: the headline.
        reward: what the page calls the total; "" is "score".
        summary: one or two sentences below it; "" writes them from the figures.
        notice: what the reader must know before trusting a number, such as what is simulated.
        judges: who gave the judgements, as the page calls them.
        protocol: what makes the figures repeatable, name -> value, shown in this order: reward,
            weights hash, versions, date, number of pictures and pairs.
        accuracy: held-out accuracy, the model's and the baselines'.
        ranking: checkpoints, best first.
        not_told_apart: sets of checkpoint names whose difference may be chance.
        leaderboard: checkpoints under several scores, by categories, beside people; shown in
            place of `ranking`.
        profiles: each checkpoint over the dimensions of the reward.
        gallery: pictures to browse.
        best, worst: pictures at both ends of the scores, such as `best_and_worst` gives.
        disagreements: pairs, such as `disagreements` gives.
        explanations: word masks and attention maps.
        feedback: what is wrong with pictures: maps, words and scores.
        distributions: checkpoint -> aspect -> the scores of its pictures.
        filtered: what a filter did.
        unread: every picture that has no score.
        commands: shell lines that repeat the run.
        methods: citations of what was used.
    """

    title: str
    reward: str = ""
    summary: str = ""
    notice: str = ""
    judges: str = "people"
    protocol: Mapping[str, str] = field(default_factory=dict)
    accuracy: Sequence[AccuracyRow] = ()
    ranking: Sequence[RankRow] = ()
    not_told_apart: Sequence[Sequence[str]] = ()
    leaderboard: Leaderboard | None = None
    profiles: Sequence[Profile] = ()
    gallery: Gallery | None = None
    best: Sequence[ScoredPicture] = ()
    worst: Sequence[ScoredPicture] = ()
    disagreements: Sequence[Disagreement] = ()
    explanations: Sequence[ExplainedPicture] = ()
    feedback: Sequence[PictureFeedback] = ()
    distributions: Mapping[str, Mapping[str, Values]] = field(default_factory=dict)
    filtered: FilterSummary | None = None
    unread: Sequence[Unread] = ()
    commands: Sequence[str] = ()
    methods: Sequence[str] = ()

    def __repr__(self) -> str:
        drawn = sum(1 for _ in self.images())
        return f"Report {self.title!r}: {counted(drawn, 'drawing')}; write_report writes the page"

    def _repr_html_(self) -> str:
        from beholder.eval._report.page import render  # noqa: PLC0415  (it imports this module)

        return framed(render(self, _NOTEBOOK_BYTES), self.title)

    def images(self) -> Iterator[ImageSource]:
        """Every picture outside the gallery, once for each time that it is drawn."""
        barely = (
            ()
            if self.filtered is None
            else (*self.filtered.barely_kept, *self.filtered.barely_dropped)
        )
        yield from (p.image for p in (*self.best, *self.worst, *barely))
        for pair in self.disagreements:
            yield from (pair.first, pair.second)
        for explained in self.explanations:
            yield from [explained.image] * (1 + len(explained.explanations))
        for said in self.feedback:
            yield from [said.image] * len(said.panels)
