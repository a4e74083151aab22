"""The figures of a report in the order and the words in which a page shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from beholder._page.wording import UNKNOWN, number, percent
from beholder.annotation.trust.agreement import AspectAgreement
from beholder.annotation.trust.annotators import AnnotatorReport
from beholder.annotation.trust.intervals import Interval
from beholder.annotation.trust.kappa import CohenKappas
from beholder.annotation.trust.raters import RaterReport
from beholder.annotation.trust.rating_agreement import RatedAgreement, RatingAgreement
from beholder.annotation.trust.speed import Speed


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of agreement: its short and its full name, what was found, and on what."""

    short: str
    name: str
    found: Interval
    on: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of one person.

    Attributes:
        head: the column.
        text: the figure.
        note: a few words below it.
        found: what is drawn on an axis from 0 to 1, with a dashed line at `guide`; None for none.
    """

    head: str
    text: str
    note: str = ""
    found: Interval | None = None
    guide: float | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """One annotator's row, and why to look at it."""

    name: str
    cells: Sequence[Cell]
    doubts: Sequence[str]


def aspect_measures(found: AspectAgreement) -> list[Measure]:
    """Agreement in one aspect of pairs."""
    tasks, fleiss = _tasks(found.tasks), found.fleiss
    each = f"{_tasks(fleiss.tasks)} of {fleiss.raters} answers"
    return [
        Measure("alpha ordinal", "Krippendorff's alpha, ordinal", found.alpha_ordinal, tasks),
        Measure("alpha nominal", "Krippendorff's alpha, nominal", found.alpha_nominal, tasks),
        Measure("Fleiss", "Fleiss' kappa", fleiss.kappa, each),
        Measure("Cohen", "Cohen's kappa, mean", found.cohen.plain, _pairs(found.cohen)),
        Measure("Cohen linear", "Cohen's kappa, linear", found.cohen.linear, _pairs(found.cohen)),
        Measure(
            "Cohen quadratic",
            "Cohen's kappa, quadratic",
            found.cohen.quadratic,
            _pairs(found.cohen),
        ),
    ]


def rated_measures(found: RatedAgreement) -> list[Measure]:
    """Agreement in one rated aspect of pictures."""
    tasks = _tasks(found.tasks)
    return [
        Measure("alpha interval", "Krippendorff's alpha, interval", found.alpha_interval, tasks),
        Measure("alpha ordinal", "Krippendorff's alpha, ordinal", found.alpha_ordinal, tasks),
        Measure(
            "Cohen quadratic",
            "Cohen's kappa, quadratic",
            found.cohen.quadratic,
            _pairs(found.cohen),
        ),
        Measure("≤ 1 step", "Pairs of ratings within one step", found.near, tasks),
        Measure("equal", "Equal pairs of ratings", found.equal, tasks),
    ]


def mark_measures(report: RatingAgreement) -> dict[str, list[Measure]]:
    """Agreement in misaligned words, and in the places of each kind of fault."""
    words = report.words
    found = {
        "words": [
            Measure(
                "alpha nominal",
                "Krippendorff's alpha of marked words",
                words.alpha,
                f"{words.words:,} words of {_tasks(words.tasks)}, {percent(words.marked)} marked",
            )
        ]
    }
    for kind, points in report.points.items():
        tasks, none = _tasks(points.tasks), f"neither marks in {percent(points.neither)}"
        found[kind] = [
            Measure("overlap", "Overlap of discs, 1 if neither marks", points.iou, tasks),
            Measure("if marked", "Overlap where either marks", points.iou_marked, none),
        ]
    return found


def annotator_row(name: str, found: AnnotatorReport) -> Person:
    """One annotator of pairs."""
    others = Interval(found.others, math.nan, math.nan)
    again = found.retest
    cells = [
        _given(found.tasks, found.shared),
        _drawn("Others", others),
        _drawn("Consensus", found.consensus.share, f"on {_tasks(found.consensus.tasks)}"),
        _drawn("Gold", found.gold.share, f"on {_tasks(found.gold.tasks)}"),
        _drawn("Repeats", again.same, f"bias {_signed(again.bias.value)}"),
        _drawn("Left side", found.left.share, guide=0.5),
        _time(found.speed),
    ]
    return Person(name, cells, found.doubts)


def rater_row(name: str, found: RaterReport) -> Person:
    """One annotator of single pictures."""
    gold, again = found.gold, found.retest
    cells = [
        _given(found.tasks, found.shared),
        _drawn("Others", found.consensus.near, f"offset {_signed(found.consensus.offset)}"),
        _drawn("Gold", gold.near, f"off by {number(gold.error, 1)}"),
        _drawn("Repeats", again.near, f"off by {number(again.error, 1)}"),
        _time(found.speed),
    ]
    return Person(name, cells, found.doubts)


def seconds(value: float) -> str:
    """A time of at least a minute in minutes, else in seconds; an en dash if it is not known."""
    if value >= 60:
        return f"{number(value / 60, 1)}\N{NO-BREAK SPACE}min"
    return f"{number(value, 1)}\N{NO-BREAK SPACE}s" if math.isfinite(value) else UNKNOWN


def _given(tasks: int, shared: int) -> Cell:
    return Cell("Tasks", f"{tasks:,}", f"{shared:,} shared")


def _drawn(head: str, found: Interval, note: str = "", guide: float | None = None) -> Cell:
    """A share on its axis; only an en dash if it is not known."""
    if not math.isfinite(found.value):
        return Cell(head, UNKNOWN)
    return Cell(head, percent(found.value), note, found, guide)


def _time(found: Speed) -> Cell:
    return Cell("Time", seconds(found.seconds), f"{percent(found.too_fast.value)} too fast")


def _tasks(count: int) -> str:
    return f"{count:,} task" if count == 1 else f"{count:,} tasks"


def _pairs(cohen: CohenKappas) -> str:
    return f"{len(cohen.pairs):,} pairs of people"


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value)
