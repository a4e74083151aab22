"""Bars of kept and dropped rows, with where a column was cut, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from beholder._page.plots import Axis
from beholder._page.wording import MINUS, visible
from beholder.eval._filter_card.tally import Bar

HEIGHT = 132
"""Of the bars in pixels; the names of what was cut stand above, the ticks below."""

MOST_BARS = 44
"""Of one plot: each is some pixels wide on a phone."""

_LINE = 16  # of text in pixels
_TICKS = 22
_EDGE = 36  # percent of the width that a name needs

Mark = tuple[float, str]
"""A value of the column and what stands beside its line."""


def bars_axis(bars: Sequence[Bar]) -> Axis:
    """The axis from the first bar to the end of the last; [0, 1] without any."""
    return Axis.over([bars[0].low, bars[-1].high] if bars else [])


def stacked(bars: Sequence[Bar], marks: Sequence[Mark], label: str) -> Markup:
    """Kept rows from the base up, dropped ones on top of them, and a line at each mark."""
    axis = bars_axis(bars)
    tallest = max((bar.kept + bar.dropped for bar in bars), default=0) or 1
    top = _LINE * len(marks) + 6
    placed = list(enumerate(_placed(axis, marks)))
    drawn = [
        *(mark for bar in bars for mark in _bar(bar, axis, tallest, top)),
        _flat(top + HEIGHT),
        *(_cut(each.at, row, top) for row, each in placed),
        *(_name(each, row) for row, each in placed),
        *_ticks(axis, top + HEIGHT + 16),
    ]
    frame = Markup('<svg class="plot" width="100%" height="{}" role="img" aria-label="{}">{}</svg>')
    return frame.format(top + HEIGHT + _TICKS, visible(label), Markup().join(drawn))


def share_bar(kept: int, rows: int, label: str) -> Markup:
    """One bar, filled as far as rows were kept."""
    frame = Markup(
        '<svg class="plot share" width="100%" height="10" role="img" aria-label="{}">'
        '<rect class="dropped" width="100%" height="10"/>'
        '<rect class="kept" width="{}%" height="10"/></svg>'
    )
    return frame.format(visible(label), round(100 * kept / max(rows, 1), 2))


def value(number: float) -> str:
    """Four significant digits with a true minus sign, without zeros that say nothing."""
    return f"{number:.4g}".replace("-", MINUS) if math.isfinite(number) else "none"


def _bar(bar: Bar, axis: Axis, tallest: int, top: int) -> Iterator[Markup]:
    left, right = axis.at(bar.low), axis.at(bar.high)
    gap = 0.12 * (right - left)
    base = float(top + HEIGHT)
    for kind, rows in (("kept", bar.kept), ("dropped", bar.dropped)):
        if rows:
            tall = max(HEIGHT * rows / tallest, 0.75)  # what is there is seen
            base -= tall
            yield Markup('<rect class="{}" x="{}%" width="{}%" y="{}" height="{}"/>').format(
                kind,
                round(left + gap / 2, 2),
                round(right - left - gap, 2),
                round(base, 2),
                round(tall, 2),
            )


@dataclass(frozen=True, slots=True)
class _Placed:
    """A mark's place in percent, and whether its name stands left of its line."""

    at: float
    name: str
    is_left: bool


def _placed(axis: Axis, marks: Sequence[Mark]) -> list[_Placed]:
    """The marks from the uppermost name down: names lean outwards, and over no other's line."""
    ordered = sorted(((axis.at(value), name) for value, name in marks), key=lambda each: each[0])
    found = []
    for k, (at, name) in enumerate(ordered):
        leans_left = 2 * k < len(ordered) - 1
        found.append(_Placed(at, name, (leans_left and at > _EDGE) or at > 100 - _EDGE))
    lefts = [each for each in reversed(found) if each.is_left]
    return [each for each in found if not each.is_left] + lefts


def _cut(at: float, row: int, top: int) -> Markup:
    line = Markup('<line class="cut" x1="{}%" x2="{}%" y1="{}" y2="{}"/>')
    return line.format(at, at, _LINE * row + 2, top + HEIGHT)


def _name(mark: _Placed, row: int) -> Markup:
    anchor, aside = ("end", -6) if mark.is_left else ("start", 6)
    text = Markup('<text class="cut" x="{}%" dx="{}" y="{}" text-anchor="{}">{}</text>')
    return text.format(mark.at, aside, _LINE * row + 12, anchor, visible(mark.name))


def _flat(y: int) -> Markup:
    return Markup('<line class="rail" x1="0" x2="100%" y1="{}" y2="{}"/>').format(y, y)


def _ticks(axis: Axis, y: int) -> Iterator[Markup]:
    for tick in axis.ticks:
        at = axis.at(tick)
        anchor = "start" if at < 4 else "end" if at > 96 else "middle"
        text = Markup('<text x="{}%" y="{}" text-anchor="{}">{}</text>')
        yield text.format(at, y, anchor, axis.label(tick))
