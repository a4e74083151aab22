"""One self-contained HTML page about annotators: how far they agree, whom to trust, what divides.

The page asks nothing of the network, runs no script and opens from any folder. Annotators are
named by their opaque ids.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from beholder._page.document import Figure, Page, render_page, write_whole
from beholder._page.wording import number
from beholder.annotation.forms.richhf import STARS
from beholder.annotation.trust._agreement import rows
from beholder.annotation.trust._agreement.disputed import disputed_pairs, disputed_pictures
from beholder.annotation.trust._agreement.drawings import marked_prompt, points_overlay
from beholder.annotation.trust._agreement.rows import Measure, Person
from beholder.annotation.trust.agreement import AgreementReport
from beholder.annotation.trust.kappa import CohenKappas, CohenPair
from beholder.annotation.trust.rating_agreement import RatingAgreement
from beholder.errors import DataError
from beholder.types import Comparison, Rating

MOST_ITEMS = 60
"""Most disputed items on one page; that many pairs of photographs make about 3 MB."""

MOST_PEOPLE = 200
"""Most annotators in the table; those to look at go first."""

_TEMPLATES = Path(__file__).parent / "_agreement" / "templates"
_MOST_IN_MATRIX = 8
_HEADINGS = {
    "measures": "How far they agree",
    "marks": "Words and places",
    "overlap": "The shared sample",
    "people": "The annotators",
    "matrix": "Who agrees with whom",
    "disputed": "What divides them",
    "pictures": "What divides them",
}
_KRIPPENDORFF = (
    "Alpha: K. Krippendorff, Computing Krippendorff's Alpha-Reliability, University of "
    "Pennsylvania, 2011."
)
_COHEN = (
    "Cohen's kappa: J. Cohen, Weighted Kappa: Nominal Scale Agreement Provision for Scaled "
    "Disagreement or Partial Credit, Psychological Bulletin 70, 1968."
)
_FLEISS = (
    "Fleiss' kappa: J. L. Fleiss, Measuring Nominal Scale Agreement Among Many Raters, "
    "Psychological Bulletin 76, 1971."
)
_SPEED = "Too fast: B. Iglewicz and D. C. Hoaglin, How to Detect and Handle Outliers, ASQC, 1993."
_RICHHF = (
    "Steps and discs: Y. Liang et al., Rich Human Feedback for Text-to-Image Generation, CVPR 2024."
)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Cohen's kappas of every two of a few people in one aspect, in either order."""

    aspect: str
    names: Sequence[str]
    pairs: Mapping[tuple[str, str], CohenPair]


def write_agreement_page(
    report: AgreementReport,
    comparisons: Iterable[Comparison],
    path: str | os.PathLike[str],
    *,
    title: str = "How far the annotators agree",
    notice: str = "",
    count: int = 12,
) -> Path:
    """The path of the page about annotators of pairs, written whole or not at all.

    Args:
        report: what `agreement` found.
        comparisons: what it was found in; the pairs that divide the annotators most are shown.
        path: the file to write.
        title: the headline.
        notice: what a reader must know before trusting a number.
        count: the most pairs to show.

    Raises:
        DataError: if `count` is not from 0 to `MOST_ITEMS`.
    """
    findings = _Findings(
        report=report,
        measures={aspect: rows.aspect_measures(x) for aspect, x in report.aspects.items()},
        people=[rows.annotator_row(name, x) for name, x in report.annotators.items()],
        tones=list(report.aspects),
        shown={"disputed": disputed_pairs(comparisons, count=_checked(count))},
        methods=(_KRIPPENDORFF, _COHEN, _FLEISS, _SPEED),
    )
    return findings.write(Path(path), title, notice)


def write_rating_page(
    report: RatingAgreement,
    ratings: Iterable[Rating],
    path: str | os.PathLike[str],
    *,
    title: str = "How far the annotators agree",
    notice: str = "",
    count: int = 12,
) -> Path:
    """The path of the page about annotators of single pictures; see `write_agreement_page`.

    The pictures whose ratings are furthest apart are shown with everybody's points and words.
    """
    findings = _Findings(
        report=report,
        measures={aspect: rows.rated_measures(x) for aspect, x in report.aspects.items()},
        people=[rows.rater_row(name, x) for name, x in report.annotators.items()],
        tones=[*report.aspects, "words", *report.points],
        shown={
            "marks": rows.mark_measures(report),
            "pictures": disputed_pictures(ratings, count=_checked(count)),
            "points_overlay": points_overlay,
            "marked_prompt": marked_prompt,
            "stars": stars,
        },
        methods=(_KRIPPENDORFF, _COHEN, _SPEED, _RICHHF),
    )
    return findings.write(Path(path), title, notice)


def summary(measures: Mapping[str, Sequence[Measure]], people: Sequence[Person]) -> str:
    """Where annotators agree most and least, and how many should be looked at."""
    alphas = {a: found[0].found.value for a, found in measures.items()}
    defined = {aspect: alpha for aspect, alpha in alphas.items() if math.isfinite(alpha)}
    sentences = []
    if len(defined) > 1:
        best, worst = max(defined, key=defined.__getitem__), min(defined, key=defined.__getitem__)
        sentences.append(
            f"They agree most about {best} (alpha {number(defined[best])}) and least about {worst} "
            f"(alpha {number(defined[worst])})."
        )
    doubted = sum(bool(person.doubts) for person in people)
    if people:
        sentences.append(f"{doubted or 'None'} of {len(people)} annotators should be looked at.")
    return " ".join(sentences)


def matrix(cohen: Mapping[str, CohenKappas]) -> Matrix | None:
    """Who agrees with whom overall, or in the first aspect; None unless 3 to 8 people met."""
    if not cohen:
        return None
    aspect = "overall" if "overall" in cohen else next(iter(cohen))
    pairs = {(p.first, p.second): p for p in cohen[aspect].pairs}
    names = sorted({name for pair in pairs for name in pair})
    if not 3 <= len(names) <= _MOST_IN_MATRIX:
        return None
    both = pairs | {(second, first): p for (first, second), p in pairs.items()}
    return Matrix(aspect, names, both)


def stars(rating: float) -> int:
    """A rating in [0, 1] on the scale from 1 to 5."""
    return round(rating * (STARS - 1)) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Findings:
    """What both kinds of page show; `tones` have a colour, `shown` is for one kind's templates."""

    report: AgreementReport | RatingAgreement
    measures: Mapping[str, Sequence[Measure]]
    people: Sequence[Person]
    tones: Sequence[str]
    shown: Mapping[str, object]
    methods: Sequence[str]

    def write(self, path: Path, title: str, notice: str) -> Path:
        people = sorted(self.people, key=lambda person: not person.doubts)
        values = {
            "measures": self.measures,
            "overlap": self.report.overlap,
            "people": people[:MOST_PEOPLE],
            "people_left_out": max(len(people) - MOST_PEOPLE, 0),
            "matrix": matrix({aspect: x.cohen for aspect, x in self.report.aspects.items()}),
            **self.shown,
        }
        page = Page(
            brand="Beholder agreement",
            title=title,
            summary=summary(self.measures, self.people),
            notice=notice,
            figures=_figures(self.measures),
            figures_are="Krippendorff's alpha of each aspect",
            protocol=_protocol(self.report),
            sections={name: heading for name, heading in _HEADINGS.items() if values.get(name)},
            methods=self.methods,
            style="agreement.css",
        )
        return write_whole(path, render_page(page, _TEMPLATES, self.tones, values))


def _checked(count: int) -> int:
    if not 0 <= count <= MOST_ITEMS:
        raise DataError(f"count is {count}; show 0 to {MOST_ITEMS} disputed items")
    return count


def _figures(measures: Mapping[str, Sequence[Measure]]) -> list[Figure]:
    found = {aspect: held[0].found for aspect, held in measures.items()}
    return [
        Figure(name=a, value=number(x.value), aside=f"alpha, {number(x.low)} to {number(x.high)}")
        for a, x in found.items()
    ]


def _protocol(report: AgreementReport | RatingAgreement) -> dict[str, str]:
    asked = report.paces.get("ask")
    return {
        "Tasks": f"{report.overlap.tasks:,}",
        "Answered by two or more": f"{report.overlap.shared:,}",
        "Annotators": f"{len(report.annotators):,}",
        "Gold tasks": f"{report.gold_tasks:,}",
        "Repeats": f"{report.retest.tasks:,}",
        **({"Median time": rows.seconds(asked.seconds)} if asked else {}),
        "Beholder": version("beholder"),
    }
