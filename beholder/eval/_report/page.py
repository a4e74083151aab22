"""The page as one string: templates filled with a report's records, plots and thumbnails."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from beholder._page import plots
from beholder._page.document import Figure, Page, render_page
from beholder._page.thumbnails import overlay
from beholder._page.wording import number, pieces
from beholder.eval._report.shown import AccuracyRow, Report
from beholder.eval._report.wording import headline, summary
from beholder.types import ASPECTS, Explanation, WordRelevance

TEMPLATES = Path(__file__).parent / "templates"
UNREAD_NAMED = 200
"""Most unread pictures that are listed by name; the counts are of all."""


def render(report: Report) -> str:
    """The whole HTML page; every text of the report is escaped."""
    values = {
        "report": report,
        "accuracy": _by_aspect(report.accuracy),
        "distributions": _turned(report.distributions),
        "axes": score_axes(report),
        "unread_counts": Counter(entry.code for entry in report.unread).most_common(),
        "unread_named": UNREAD_NAMED,
        "overlay": overlay,
        "prompt_pieces": prompt_pieces,
        "peak_share": peak_share,
        "mean": mean,
    }
    return render_page(frame(report), TEMPLATES, aspects_of(report), values)


def frame(report: Report) -> Page:
    """The masthead and the sections; one whose data is empty is left out."""
    rows = headline(report.accuracy)
    sections = {
        "accuracy": ("Held-out accuracy", report.accuracy),
        "ranking": ("Checkpoint ranking", report.ranking),
        "pictures": ("Best and worst pictures", report.best or report.worst),
        "disagreements": (f"Where {report.judges} and model disagree", report.disagreements),
        "masks": ("What each condition sees", report.explanations),
        "faults": ("What is wrong where", report.feedback),
        "distributions": ("Score distributions", report.distributions),
        "filter": ("Filter", report.filtered),
        "unread": ("Pictures without a score", report.unread),
    }
    return Page(
        brand="Beholder report",
        title=report.title,
        summary=report.summary or summary(report),
        notice=report.notice,
        figures=[_figure(row) for row in rows],
        figures_are=f"Held-out accuracy of {rows[0].method}" if rows else "",
        protocol=report.protocol,
        sections={name: heading for name, (heading, data) in sections.items() if data},
        commands=report.commands,
        methods=report.methods,
        style="report.css",
    )


def _figure(row: AccuracyRow) -> Figure:
    value, low, high = (number(100 * x, 0) for x in (row.accuracy, row.low, row.high))
    return Figure(name=row.aspect, value=value, unit="%", aside=f"{low} to {high}")


def aspects_of(report: Report) -> list[str]:
    """Every aspect of the report: the four of MPS first, others in order of appearance."""
    pictures = [*report.best, *report.worst]
    found = [
        *(row.aspect for row in report.accuracy),
        *(aspect for scores in report.distributions.values() for aspect in scores),
        *(aspect for picture in pictures for aspect in picture.aspects),
        *(aspect for pair in report.disagreements for aspect in pair.people),
        *(e.condition for picture in report.explanations for e in picture.explanations),
    ]
    return list(dict.fromkeys([*ASPECTS, *found]))


def score_axes(report: Report) -> dict[str, plots.Axis]:
    """For each aspect, and "total", an axis that holds every score of the report."""
    barely = (
        ()
        if report.filtered is None
        else (*report.filtered.barely_kept, *report.filtered.barely_dropped)
    )
    found: dict[str, list[float]] = {}
    for picture in (*report.best, *report.worst, *barely):
        for aspect, value in {**picture.aspects, "total": picture.total}.items():
            found.setdefault(aspect, []).append(value)
    for scores in report.distributions.values():
        for aspect, values in scores.items():
            found.setdefault(aspect, []).extend(values)
    return {aspect: plots.Axis.over(values) for aspect, values in found.items()}


def prompt_pieces(prompt: str, explanation: Explanation) -> list[tuple[str, float, bool | None]]:
    """The prompt cut at its words: (text, relevance as a share of 1, kept).

    `kept` is None for what lies between words. Relevance is divided by the prompt's highest.
    """
    highest = max((word.relevance for word in explanation.words), default=0.0)

    def share(word: WordRelevance) -> float:
        return round(max(word.relevance, 0.0) / highest, 3) if highest > 0 else 0.0

    return [
        (text, 0.0, None) if word is None else (text, share(word), word.kept)
        for text, word in pieces(prompt, explanation.words)
    ]


def _by_aspect(rows: Iterable[AccuracyRow]) -> dict[str, list[AccuracyRow]]:
    grouped: dict[str, list[AccuracyRow]] = {}
    for row in rows:
        grouped.setdefault(row.aspect, []).append(row)
    return grouped


def _turned(
    distributions: Mapping[str, Mapping[str, Sequence[float]]],
) -> dict[str, dict[str, Sequence[float]]]:
    """Checkpoint -> aspect -> values as aspect -> checkpoint -> values."""
    turned: dict[str, dict[str, Sequence[float]]] = {}
    for group, scores in distributions.items():
        for aspect, values in scores.items():
            turned.setdefault(aspect, {})[group] = values
    return turned


def peak_share(groups: Mapping[str, Sequence[float]], axis: plots.Axis) -> float:
    """The share of its group's values in the fullest bar of any group."""
    tallies = [plots.counts(values, axis) for values in groups.values()]
    return max((max(tally) / max(sum(tally), 1) for tally in tallies), default=0.0) or 1.0


def mean(values: Sequence[float]) -> float:
    """The mean of the finite values; NaN if there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
