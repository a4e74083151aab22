"""The page as one string: templates filled with a report's records, plots and thumbnails."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from beholder.eval._report import plots, thumbnails
from beholder.eval._report.shown import AccuracyRow, Report
from beholder.eval._report.wording import headline, number, percent, shorten, summary, visible
from beholder.types import ASPECTS, Explanation

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
TONES = 8
"""Accent colours in the style sheet; a ninth aspect shares the colour of the first."""
UNREAD_NAMED = 200
"""Most unread pictures that are listed by name; the counts are of all."""


def render(report: Report) -> str:
    """The whole HTML page; every text of the report is escaped."""
    tones = {aspect: k % TONES for k, aspect in enumerate(aspects_of(report))}
    return (
        _environment(tones)
        .get_template("page.html.j2")
        .render(
            report=report,
            summary=report.summary or summary(report),
            accuracy=_by_aspect(report.accuracy),
            headline=headline(report.accuracy),
            distributions=_turned(report.distributions),
            axes=score_axes(report),
            unread_counts=Counter(entry.code for entry in report.unread).most_common(),
        )
    )


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
    pieces: list[tuple[str, float, bool | None]] = []
    at = 0
    highest = max((word.relevance for word in explanation.words), default=0.0)
    for word in sorted(explanation.words, key=lambda word: word.start):
        if word.start > at:
            pieces.append((prompt[at : word.start], 0.0, None))
        share = max(word.relevance, 0.0) / highest if highest > 0 else 0.0
        pieces.append((prompt[max(word.start, at) : word.end], round(share, 3), word.kept))
        at = max(at, word.end)
    return [*pieces, (prompt[at:], 0.0, None)] if at < len(prompt) else pieces


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


def _environment(tones: Mapping[str, int]) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "percent": percent,
        "shorten": shorten,
        "tone": lambda aspect: f"tone-{tones.get(aspect, TONES - 1)}",
        "mean": mean,
    }
    environment.globals |= {
        "plots": plots,
        "Axis": plots.Axis,
        "thumbnail": thumbnails.thumbnail,
        "overlay": thumbnails.overlay,
        "prompt_pieces": prompt_pieces,
        "peak_share": peak_share,
        "unread_named": UNREAD_NAMED,
    }
    return environment
