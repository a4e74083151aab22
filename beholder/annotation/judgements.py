"""A folder of judgements, pulled or imported: how far its people agree, and what they say together.

judging/ or judgements/     mapping.jsonl, comparisons/ or ratings/, report.json, project.json
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import beholder
from beholder.annotation.joining.aggregate import Method, aggregate
from beholder.annotation.joining.answers import DOUBTFUL
from beholder.annotation.joining.feedback import aggregate_ratings, write_feedback
from beholder.annotation.joining.heatmaps import PAPER, HeatConfig
from beholder.annotation.mapping import (
    AnyTask,
    TaskPicture,
    TaskSides,
    read_mapping,
    write_mapping,
)
from beholder.annotation.originals import find_originals
from beholder.annotation.project import Project
from beholder.annotation.records.dataset import (
    read_comparisons,
    read_ratings,
    write_comparisons,
    write_preferences,
    write_ratings,
)
from beholder.annotation.trust.agreement import AgreementReport, agreement
from beholder.annotation.trust.agreement_page import write_agreement_page, write_rating_page
from beholder.annotation.trust.intervals import Interval
from beholder.annotation.trust.rating_agreement import RatingAgreement, rating_agreement
from beholder.errors import AnnotationError, ConfigError
from beholder.types import Comparison, Feedback, Rating

_MAPPING = "mapping.jsonl"
_METHODS: Mapping[Method, str] = {
    "votes": "`p_<aspect>` is the mean of the answers: 1 first, 0.5 tie, 0 second.",
    "bradley-terry": "`p_<aspect>` is fitted by Bradley-Terry with annotator reliability (Chen et "
    "al., WSDM 2013); aggregate.json says how far each annotator was trusted.",
    "dawid-skene": "`p_<aspect>` is fitted by the confusion of each annotator (Dawid and Skene, "
    "1979); aggregate.json says how far each annotator was trusted.",
}


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Judgements of pairs, and what was asked."""

    records: Sequence[Comparison]
    asked: Mapping[str, TaskSides]

    def agreement(self, overlap_percent: float | None, seed: int) -> AgreementReport:
        """All that can be measured of the annotators."""
        return agreement(self.records, sides=self.asked, overlap_percent=overlap_percent, seed=seed)

    def unbiased(self) -> Comparisons:
        """Without the questions that `next` chose by what a reward thinks of them."""
        chosen = {key for key, task in self.asked.items() if task.extra.get("chosen") == "active"}
        return Comparisons([r for r in self.records if r.key not in chosen], self.asked)


@dataclass(frozen=True, slots=True)
class Ratings:
    """Judgements of single pictures, and what was asked."""

    records: Sequence[Rating]
    asked: Mapping[str, TaskPicture]

    def agreement(self, overlap_percent: float | None, seed: int) -> RatingAgreement:
        """All that can be measured of the annotators."""
        return rating_agreement(
            self.records, tasks=self.asked, overlap_percent=overlap_percent, seed=seed
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregated:
    """What many annotators say together.

    Attributes:
        kind: "preferences" or "feedback", the name of the data set.
        method: how people were joined, in one sentence.
        judgements: records, flagged or not; `counted` of them count.
        rows: pairs or pictures with an answer.
        copies: pictures named by the copy that was judged; see `beholder.annotation.originals`.
        reliability, confusion: as in `WeightedPreferences`; empty for votes and ratings.
    """

    kind: str
    method: str
    judgements: int
    counted: int
    rows: int
    copies: int = 0
    reliability: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    confusion: Mapping[str, Mapping[str, Sequence[Sequence[float]]]] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The same as plain JSON values."""
        return asdict(self)


def read_judgements(folder: Path) -> Comparisons | Ratings:
    """Everything that `pull` or `import` wrote to a folder; AnnotationError if there is nothing."""
    path = folder / _MAPPING
    if (folder / "comparisons").is_dir():
        sides = read_mapping(path, TaskSides) if path.is_file() else {}
        return Comparisons(read_comparisons(folder), sides)
    if (folder / "ratings").is_dir():
        pictures = read_mapping(path, TaskPicture) if path.is_file() else {}
        return Ratings(read_ratings(folder), pictures)
    raise AnnotationError(
        f"{folder} holds neither comparisons nor ratings; "
        "`beholder annotate pull` or `beholder annotate import` writes them"
    )


def agreement_report(
    folder: Path, *, html: Path | None = None, notice: str = "", seed: int = 0
) -> AgreementReport | RatingAgreement:
    """How far the annotators of a folder agree; also as a page at `html`."""
    held = read_judgements(folder)
    report = held.agreement(_overlap_percent(folder), seed)
    if html is not None and isinstance(report, AgreementReport) and isinstance(held, Comparisons):
        write_agreement_page(report, held.records, html, notice=notice)
    elif html is not None and isinstance(report, RatingAgreement) and isinstance(held, Ratings):
        write_rating_page(report, held.records, html, notice=notice)
    return report


def aggregate_folder(
    folder: Path,
    out: Path,
    *,
    method: Method = "votes",
    heat: HeatConfig = PAPER,
    embed: bool = False,
    unbiased: bool = False,
    notice: str = "",
) -> Aggregated:
    """Write out/preferences and out/comparisons, or out/feedback and out/ratings; aggregate.json.

    Pictures have their own names where they still lie there unchanged. The mapping is kept too.

    Args:
        folder: what `pull` or `import` wrote.
        out: the data sets' folder.
        method: how annotators of pairs are joined; ratings are averaged.
        heat: how points of ratings become heatmaps.
        embed: store the pictures inside.
        unbiased: leave out the questions that a reward chose, so that it can be judged by the rest.
        notice: what a reader must know first; the cards open with it.

    Raises:
        AnnotationError: if `folder` holds no judgements.
        ConfigError: if ratings are to be joined by a method for pairs.
    """
    held = read_judgements(folder)
    if isinstance(held, Ratings) and method != "votes":
        raise ConfigError(f"ratings are averaged; method {method!r} is for pairs")
    originals = find_originals(held.asked.values())
    if isinstance(held, Ratings):
        rated = Ratings([originals.named(r) for r in held.records], held.asked)
        done = _write_feedback(rated, out, heat, embed=embed, notice=notice)
    else:
        held = held.unbiased() if unbiased else held
        compared = Comparisons([originals.named(r) for r in held.records], held.asked)
        done = _write_preferences(compared, out, method, embed=embed, notice=notice)
    return _kept(replace(done, copies=len(originals.lost)), held.asked, out)


def _write_preferences(
    held: Comparisons, out: Path, method: Method, *, embed: bool, notice: str
) -> Aggregated:
    joined = aggregate(held.records, method)
    found = held.agreement(None, 0)
    alphas = {aspect: x.alpha_ordinal for aspect, x in found.aspects.items()}
    notice = _notice(notice, _METHODS[method], alphas)
    write_comparisons(held.records, out / "comparisons", notice=notice)
    write_preferences(joined.preferences, out / "preferences", embed=embed, notice=notice)
    return Aggregated(
        kind="preferences",
        method=_METHODS[method],
        judgements=len(held.records),
        counted=_counted(held.records),
        rows=len(joined.preferences),
        reliability=joined.reliability,
        confusion=joined.confusion,
    )


def _write_feedback(
    held: Ratings, out: Path, heat: HeatConfig, *, embed: bool, notice: str
) -> Aggregated:
    found = held.agreement(None, 0)
    alphas = {aspect: x.alpha_interval for aspect, x in found.aspects.items()}
    notice = _notice(notice, str(heat), alphas)
    write_ratings(held.records, out / "ratings", notice=notice)
    rows = Counter[str]()

    def counted() -> Iterator[Feedback]:
        for one in aggregate_ratings(held.records, heat=heat):
            rows["feedback"] += 1
            yield one

    write_feedback(counted(), out / "feedback", embed=embed, notice=notice)
    return Aggregated(
        kind="feedback",
        method=str(heat),
        judgements=len(held.records),
        counted=_counted(held.records),
        rows=rows["feedback"],
    )


def _kept(done: Aggregated, asked: Mapping[str, AnyTask], out: Path) -> Aggregated:
    """Write what the numbers rest on, so that `out` can be asked for its agreement too."""
    if asked:
        write_mapping(asked.values(), out / _MAPPING)
    text = json.dumps({**done.as_json(), "beholder": beholder.__version__}, indent=1)
    (out / "aggregate.json").write_text(text + "\n", encoding="utf-8")
    return done


def _notice(notice: str, method: str, alphas: Mapping[str, Interval]) -> str:
    """The card's opening: the owner's words, how people were joined, and how far they agreed."""
    agreed = ", ".join(
        f"{aspect} {alpha.value:.3f} [{alpha.low:.3f}, {alpha.high:.3f}]"
        for aspect, alpha in alphas.items()
        if math.isfinite(alpha.value)
    )
    scale = "Krippendorff's alpha of the answers that count, with 95 % intervals: "
    parts = [notice, method, f"{scale}{agreed}." if agreed else "Nothing was answered twice."]
    return "\n\n".join(filter(None, parts))


def _counted(records: Iterable[Comparison] | Iterable[Rating]) -> int:
    return sum(not record.flags & DOUBTFUL for record in records)


def _overlap_percent(folder: Path) -> float | None:
    """The share of tasks that was meant for several people, if `folder` is a project's."""
    return Project.load(folder).overlap_percent if Project.is_in(folder) else None
