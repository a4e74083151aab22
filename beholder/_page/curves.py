"""Curves over the steps of a run as inline SVG: they stretch with the page, their text does not.

Widths are percentages and heights pixels. Lines are drawn in a nested box that is stretched, with
strokes that are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from beholder._page.plots import Axis
from beholder._page.wording import MINUS, UNKNOWN, visible

MOST_POINTS = 240
"""Points of one line: about one for two pixels of the widest plot."""

_TOP, _BOTTOM = 18, 24  # room for the name of the guide, and for the ticks below
_LETTER = 6.8  # width of a letter of the labels in pixels, a little too much
_LINE = 15  # least distance between the labels of two lines in pixels
_EDGE = 14  # percent of the width in which a label beside an upright line must not be centred

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a plot.

    Attributes:
        name: written at its end if the plot has several.
        points: (x, y) in order of x; a y that is not finite is a gap.
        spread: how far the band reaches above each point; empty draws none.
        below: how far it reaches below; empty is as far as above.
        tone: the CSS class that gives the colour.
        marked: whether each point has a dot, which tells its value under the pointer.
    """

    name: str
    points: Sequence[Point]
    spread: Sequence[float] = ()
    below: Sequence[float] = ()
    tone: str = ""
    marked: bool = False

    def finite(self) -> list[Point]:
        """The points that can be drawn."""
        return [point for point in self.points if math.isfinite(point[1])]


@dataclass(frozen=True, slots=True)
class Guide:
    """An upright dashed line with a name, such as that of the best step."""

    x: float
    name: str


def short(value: float) -> str:
    """Four significant digits with a true minus sign; an en dash for what is not finite."""
    if not math.isfinite(value):
        return UNKNOWN
    is_plain = 1e-4 <= abs(value) < 1e3
    return f"{value:{'#' if is_plain else ''}.4g}".replace("-", MINUS)


def curve(
    series: Sequence[Series],
    label: str,
    *,
    guide: Guide | None = None,
    level: float | None = None,
    height: int = 150,
    unit: str = "step",
) -> Markup:
    """Lines over steps, with ticks, a guide and the lines' names; "" if no point is finite.

    Args:
        series: the lines; the first lies on top.
        label: what is shown; screen readers are told each line's ends and extremes too.
        guide: a step to mark.
        level: a height to mark, such as where a run began.
        height: of the plot in pixels, without its ticks.
        unit: what the steps are, if they are none: the word before their numbers.
    """
    drawn = [_thinned(one) for one in series if one.finite()]
    if not drawn:
        return Markup()
    box = _Box.around(drawn, level, guide, height, unit)
    marks = [
        *(_grid(box)),
        *([] if level is None else [_flat(box, level, "level")]),
        *([] if guide is None else [_guide(box, guide)]),
        _stretched(box, [mark for one in reversed(drawn) for mark in _paths(box, one)]),
        *(mark for one in reversed(drawn) for mark in _dots(box, one)),
        *(_names(box, drawn) if len(drawn) > 1 else []),
    ]
    text = visible(f"{label}: {'; '.join(_told(one, unit) for one in drawn)}")
    frame = Markup(
        '<div class="curve" style="padding:0 {}px 0 {}px"><svg class="plot" width="100%" '
        'height="{}" role="img" aria-label="{}">{}</svg></div>'
    )
    return frame.format(*_room(box, drawn), _TOP + height + _BOTTOM, text, Markup().join(marks))


def _told(one: Series, unit: str) -> str:
    """A line in words."""
    points = one.finite()
    (first, begin), (last, end) = points[0], points[-1]
    if len(points) == 1:
        return f"{one.name} {short(begin)} at {unit} {first:.0f}"
    (low_at, low), (high_at, high) = (
        pick(points, key=lambda point: point[1]) for pick in (min, max)
    )
    return (
        f"{one.name} from {short(begin)} at {unit} {first:.0f} "
        f"to {short(end)} at {unit} {last:.0f}, "
        f"lowest {short(low)} at {low_at:.0f}, highest {short(high)} at {high_at:.0f}"
    )


def _thinned(one: Series) -> Series:
    """At most `MOST_POINTS` points: means of as many neighbours each."""
    size = math.ceil(len(one.points) / MOST_POINTS)
    if size == 1:
        return one
    starts = range(0, len(one.points), size)
    parts = [one.points[k : k + size] for k in starts]
    spreads = [one.spread[k : k + size] for k in starts] if one.spread else []
    belows = [one.below[k : k + size] for k in starts] if one.below else []
    return Series(
        name=one.name,
        points=[(_mean([x for x, _ in part]), _mean([y for _, y in part])) for part in parts],
        spread=[_mean(part) for part in spreads],
        below=[_mean(part) for part in belows],
        tone=one.tone,
        marked=one.marked,
    )


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


@dataclass(frozen=True, slots=True)
class _Box:
    """Where steps and values lie."""

    steps: Axis
    values: Axis
    height: int
    unit: str

    @classmethod
    def around(
        cls,
        drawn: Sequence[Series],
        level: float | None,
        guide: Guide | None,
        height: int,
        unit: str,
    ) -> _Box:
        steps = [0.0, *(x for one in drawn for x, _ in one.points)]
        values = [y for one in drawn for y in _reach(one)]
        steps += [] if guide is None else [guide.x]
        values += [] if level is None else [level]
        return cls(_axis(steps), _axis(values), height, unit)

    def x(self, step: float) -> float:
        """Percent of the width."""
        return self.steps.at(step)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return round(_TOP + self.height * (1 - self.values.at(value) / 100), 1)


def _reach(one: Series) -> Iterator[float]:
    """What a line and its band span."""
    for k, (_, y) in enumerate(one.points):
        yield from (y - _width(one.below or one.spread, k), y + _width(one.spread, k))


def _axis(values: Sequence[float]) -> Axis:
    """An axis over the values, one value in proportion to its size."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite), max(finite)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        room = abs(low) / 2 or 0.5
        return Axis.over([low - room, high + room])
    return Axis.over([low, high])


def _grid(box: _Box) -> Iterator[Markup]:
    """A line and a label at each tick."""
    for tick in box.values.ticks:
        yield _flat(box, tick, "grid")
        yield _text(Markup('x="0" dx="-8"'), box.y(tick) + 4, box.values.label(tick), "end")
    whole = [tick for tick in box.steps.ticks if tick == round(tick) and tick >= 0]
    for k, tick in enumerate(whole):
        at, name = box.x(tick), f"{tick:,.0f}" if k else f"{box.unit} {tick:,.0f}"
        place = Markup('x="{}%"').format(at)
        yield _text(place, _TOP + box.height + 18, name, "start" if at < 6 else "middle")


def _flat(box: _Box, value: float, kind: str) -> Markup:
    y = box.y(value)
    return Markup('<line class="{}" x1="0" x2="100%" y1="{}" y2="{}"/>').format(kind, y, y)


def _guide(box: _Box, guide: Guide) -> Markup:
    at = box.x(guide.x)
    line = Markup('<line class="guide" x1="{}%" x2="{}%" y1="{}" y2="{}"/>').format(
        at, at, _TOP - 4, _TOP + box.height
    )
    anchor = "start" if at < _EDGE else "end" if at > 100 - _EDGE else "middle"
    return line + _text(Markup('x="{}%"').format(at), _TOP - 8, guide.name, anchor)


def _stretched(box: _Box, paths: Sequence[Markup]) -> Markup:
    height = _TOP + box.height + _BOTTOM
    frame = Markup(
        '<svg width="100%" height="{}" viewBox="0 0 100 {}" preserveAspectRatio="none">{}</svg>'
    )
    return frame.format(height, height, Markup().join(paths))


def _paths(box: _Box, one: Series) -> Iterator[Markup]:
    """The band and the line of a series, cut where it is not finite."""
    indexed = enumerate(one.points)
    for is_finite, group in groupby(indexed, key=lambda item: math.isfinite(item[1][1])):
        run = list(group)
        if not is_finite or len(run) < 2:
            continue
        if one.spread:
            upper = [(x, y + _width(one.spread, k)) for k, (x, y) in run]
            lower = [(x, y - _width(one.below or one.spread, k)) for k, (x, y) in reversed(run)]
            yield _path(box, [*upper, *lower], f"band {one.tone}", closed=True)
        yield _path(box, [point for _, point in run], f"series {one.tone}")


def _width(spread: Sequence[float], k: int) -> float:
    return spread[k] if spread and math.isfinite(spread[k]) else 0.0


def _path(box: _Box, points: Sequence[Point], kind: str, *, closed: bool = False) -> Markup:
    places = " ".join(f"{box.x(x):g},{box.y(y):g}" for x, y in points)
    element = Markup('<path class="{}" vector-effect="non-scaling-stroke" d="M{}{}"/>')
    return element.format(kind.strip(), places, "Z" if closed else "")


def _dots(box: _Box, one: Series) -> Iterator[Markup]:
    """A dot on each point that has one, or that has no neighbour to be joined with."""
    heights = [math.nan, *(y for _, y in one.points), math.nan]
    dot = Markup('<circle class="mark {}" cx="{}%" cy="{}" r="3"><title>{}</title></circle>')
    for k, (x, y) in enumerate(one.points):
        alone = not math.isfinite(heights[k]) and not math.isfinite(heights[k + 2])
        if math.isfinite(y) and (one.marked or alone):
            told = visible(f"{one.name}, {box.unit} {x:.0f}: {short(y)}")
            yield dot.format(one.tone, box.x(x), box.y(y), told)


def _names(box: _Box, drawn: Sequence[Series]) -> Iterator[Markup]:
    """The lines' names at their ends, moved apart where they would meet."""
    ends = sorted((box.y(one.finite()[-1][1]), k) for k, one in enumerate(drawn))
    lowest = _TOP + box.height - _LINE * (len(ends) - 1)
    above = -math.inf
    for order, (end, k) in enumerate(ends):
        above = max(above + _LINE, min(end, lowest + _LINE * order))
        place = Markup('x="100%" dx="8"')
        yield _text(place, above + 4, drawn[k].name, "start", f"name {drawn[k].tone}")


def _text(place: Markup, y: float, text: str, anchor: str, kind: str = "") -> Markup:
    element = Markup('<text {} y="{}" text-anchor="{}"{}>{}</text>')
    named = Markup(' class="{}"').format(kind.strip()) if kind else ""
    return element.format(place, round(y, 1), anchor, named, visible(text))


def _room(box: _Box, drawn: Sequence[Series]) -> tuple[int, int]:
    """Pixels right and left of the lines that their names and the ticks need."""
    names = max(len(one.name) for one in drawn) * _LETTER + 12 if len(drawn) > 1 else 12
    ticks = max(len(box.values.label(tick)) for tick in box.values.ticks) * _LETTER + 10
    return round(names), round(ticks)
