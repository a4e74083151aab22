"""Named points in two dimensions as inline SVG, with the line of the best trade-offs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from beholder._page.plots import Axis
from beholder._page.wording import visible

HEIGHT = 300
"""Of the field of points, in pixels; its width is that of the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A point: its name, its place, its CSS class for the colour, and whether it stands out."""

    name: str
    x: float
    y: float
    tone: str = ""
    is_best: bool = False


def scatter(spots: Sequence[Spot], x_name: str, y_name: str, label: str) -> Markup:
    """The points that have both values, the best of them joined in the order of x.

    Coordinates are percentages, so that the field stretches with the page and its text does not.
    """
    known = [spot for spot in spots if math.isfinite(spot.x) and math.isfinite(spot.y)]
    across, upwards = _wide([spot.x for spot in known]), _wide([spot.y for spot in known])
    marks = [*_ticks(across, upwards), _front(known, across, upwards)]
    marks += [_spot(spot, across, upwards) for spot in known]
    return Markup(
        '<div class="scatter"><p class="axis">↑ {}</p><svg class="plot" width="100%" height="{}" '
        'role="img" aria-label="{}">{}</svg><p class="axis">{} →</p></div>'
    ).format(visible(y_name), HEIGHT, visible(label), Markup().join(marks), visible(x_name))


def _wide(values: Sequence[float]) -> Axis:
    """An axis with room on both sides of the values."""
    tight = Axis.over(values)
    room = 0.12 * (tight.high - tight.low)
    return Axis.over([tight.low - room, tight.high + room])


def _ticks(across: Axis, upwards: Axis) -> list[Markup]:
    line = Markup('<line class="grid" x1="{}%" x2="{}%" y1="{}%" y2="{}%"/>')
    text = Markup('<text x="{}%" y="{}%" dx="{}" dy="{}" text-anchor="{}">{}</text>')
    marks = []
    for tick in upwards.ticks:
        at = round(100 - upwards.at(tick), 2)
        marks += [
            line.format(0, 100, at, at),
            text.format(0, at, -8, 4, "end", upwards.label(tick)),
        ]
    for tick in across.ticks:
        at = across.at(tick)
        marks += [
            line.format(at, at, 0, 100),
            text.format(at, 100, 0, 18, "middle", across.label(tick)),
        ]
    return marks


def _front(spots: Sequence[Spot], across: Axis, upwards: Axis) -> Markup:
    best = sorted((spot for spot in spots if spot.is_best), key=lambda spot: spot.x)
    if len(best) < 2:
        return Markup()
    points = " ".join(f"{across.at(s.x)},{round(100 - upwards.at(s.y), 2)}" for s in best)
    return Markup(
        '<svg width="100%" height="100%" viewBox="0 0 100 100" preserveAspectRatio="none">'
        '<polyline class="front" points="{}" vector-effect="non-scaling-stroke"/></svg>'
    ).format(points)


def _spot(spot: Spot, across: Axis, upwards: Axis) -> Markup:
    x, y = across.at(spot.x), round(100 - upwards.at(spot.y), 2)
    anchor, shift = ("end", -11) if x > 62 else ("start", 11)
    return Markup(
        '<g class="{}"><circle class="{}" cx="{}%" cy="{}%" r="6"/>'
        '<text class="name" x="{}%" y="{}%" dx="{}" dy="4" text-anchor="{}">{}</text></g>'
    ).format(
        spot.tone, "dot" if spot.is_best else "ring", x, y, x, y, shift, anchor, visible(spot.name)
    )
