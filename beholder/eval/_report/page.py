"""The page as one string: templates filled with a report's records, plots and thumbnails."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from beholder._page import plots
from beholder._page.document import TONES, Figure, Page, render_page
from beholder._page.radar import radar
from beholder._page.scatter import scatter
from beholder._page.thumbnails import overlay
from beholder._page.wording import decimals, number, pieces
from beholder.eval._report.album import Album, album_of, elements
from beholder.eval._report.board import Board, checkpoint_figures, heat
from beholder.eval._report.layers import layers_of, pair_of
from beholder.eval._report.profiles import profile_axis
from beholder.eval._report.shown import AccuracyRow, Report, Values
from beholder.eval._report.sources import Drawings
from beholder.eval._report.wording import headline, summary
from beholder.types import ASPECTS, Explanation, WordRelevance

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = (
    "elements.js",
    "album.js",
    "range.js",
    "gallery.js",
    "viewer.js",
    "theme.js",
    "start.js",
)
"""What runs in the page, in this order; each file may use those before it."""

MOST_BYTES = 28_000_000
"""Of a page: what mail and chat still take."""

CONTROLS_BYTES = 40_000
"""More than the elements around a gallery take, without its pictures."""

UNREAD_NAMED = 200
"""Most unread pictures that are listed by name; the counts are of all."""


def render(report: Report, most_bytes: int = MOST_BYTES) -> str:
    """The whole HTML page of at most `most_bytes`; every text of the report is escaped.

    The pictures of the gallery get what the rest of the page leaves.
    """
    drawings = Drawings()
    if report.gallery is None:
        return _filled(report, drawings, None)
    rest = len(_filled(report, drawings, None).encode())
    room = most_bytes - rest - CONTROLS_BYTES
    return _filled(report, drawings, album_of(report.gallery, layers_of(report, drawings), room))


def _filled(report: Report, drawings: Drawings, album: Album | None) -> str:
    page = frame(report, album)
    names = [*aspects_of(report), *([] if album is None else album.gallery.ranges)]
    names = list(dict.fromkeys(names))
    scores = shown_scores(report)
    values = {
        "report": report,
        "album": album,
        "places": {} if album is None else album.places,
        "pair_of": pair_of,
        "accuracy": _by_aspect(report.accuracy),
        "distributions": _turned(report.distributions),
        "axes": {name: plots.Axis.over(values) for name, values in scores.items()},
        "digits": {name: decimals(values) for name, values in scores.items()},
        "board": None if report.leaderboard is None else Board(report.leaderboard),
        "heat": heat,
        "radar": radar,
        "scatter": scatter,
        "profile_axis": profile_axis(report.profiles),
        "unread_counts": Counter(entry.code for entry in report.unread).most_common(),
        "unread_named": UNREAD_NAMED,
        "overlay": overlay,
        "prompt_pieces": prompt_pieces,
        "peak_share": peak_share,
        "mean": mean,
        "label": partial(label, reward=report.reward),
    }
    if album is not None:
        tones = {name: f"tone-{k % TONES}" for k, name in enumerate(names)}
        labels = {name: label(name, report.reward) for name in album.gallery.ranges}
        page = replace(page, data=elements(album, labels, tones.__getitem__))
    return render_page(page, TEMPLATES, names, values, drawings)


def label(score: str, reward: str = "") -> str:
    """How readers know a score: "mps.total" is mps, and "total" is that of the reward."""
    return reward or "score" if score == "total" else score.removesuffix(".total")


def frame(report: Report, album: Album | None = None) -> Page:
    """The masthead and the sections; one whose data is empty is left out."""
    rows = headline(report.accuracy)
    sections = {
        "accuracy": ("Held-out accuracy", report.accuracy),
        "leaderboard": ("Leaderboard", report.leaderboard),
        "ranking": ("Checkpoint ranking", report.ranking and not report.leaderboard),
        "profiles": ("Dimension by dimension", report.profiles),
        "distributions": ("Score distributions", report.distributions),
        "pictures": ("Best and worst pictures", report.best or report.worst),
        "gallery": ("Gallery", album),
        "disagreements": (f"Where {report.judges} and model disagree", report.disagreements),
        "masks": ("What each condition sees", report.explanations),
        "faults": ("What is wrong where", report.feedback),
        "filter": ("Filter", report.filtered),
        "unread": ("Pictures without a score", report.unread),
    }
    return Page(
        brand="Beholder report",
        title=report.title,
        summary=report.summary or summary(report),
        notice=report.notice,
        figures=[_figure(row) for row in rows] or checkpoint_figures(report.leaderboard),
        figures_are=f"Held-out accuracy of {rows[0].method}" if rows else "Win rates",
        protocol=report.protocol,
        sections={name: heading for name, (heading, data) in sections.items() if data},
        commands=report.commands,
        methods=report.methods,
        style="report.css",
        scripts=SCRIPTS,
        protocol_at_foot=True,
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


def shown_scores(report: Report) -> dict[str, list[float]]:
    """For each aspect, and "total", scores between which all scores of the report lie."""
    found: dict[str, list[float]] = {}
    for name, value in (*_of_pictures(report), *_of_checkpoints(report)):
        found.setdefault(name, []).append(value)
    ranges = {} if report.gallery is None else report.gallery.ranges
    for name, ends in ranges.items():
        found.setdefault(name, []).extend(ends)
    return found


def _of_pictures(report: Report) -> Iterator[tuple[str, float]]:
    filtered = report.filtered
    barely = () if filtered is None else (*filtered.barely_kept, *filtered.barely_dropped)
    for picture in (*report.best, *report.worst, *barely):
        yield from {**picture.aspects, "total": picture.total}.items()


def _of_checkpoints(report: Report) -> Iterator[tuple[str, float]]:
    for scores in report.distributions.values():
        for name, values in scores.items():
            known = plots.finite(values)
            found = [known.min(), known.max()] if len(known) else [math.nan]
            yield from ((name, float(value)) for value in found)
    for profile in report.profiles:
        yield from profile.means.items()


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
    distributions: Mapping[str, Mapping[str, Values]],
) -> dict[str, dict[str, Values]]:
    """Checkpoint -> aspect -> values as aspect -> checkpoint -> values."""
    turned: dict[str, dict[str, Values]] = {}
    for group, scores in distributions.items():
        for aspect, values in scores.items():
            turned.setdefault(aspect, {})[group] = values
    return turned


def peak_share(groups: Mapping[str, Values], axis: plots.Axis) -> float:
    """The share of its group's values in the fullest bar of any group."""
    tallies = [plots.counts(values, axis) for values in groups.values()]
    return max((max(tally) / max(sum(tally), 1) for tally in tallies), default=0.0) or 1.0


def mean(values: Values) -> float:
    """The mean of the finite values; NaN if there is none."""
    known = plots.finite(values)
    return float(known.mean()) if len(known) else math.nan
