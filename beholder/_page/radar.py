"""A radar as inline SVG: one polygon for each of a few series over three or more dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from beholder._page.plots import Axis
from beholder._page.wording import number, visible

WIDTH, HEIGHT, RADIUS = 460, 360, 128
"""Of the drawing, in its own units, which are pixels where it is not shrunk."""

_DASHES = ("none", "7 4", "2 4", "10 4 2 4")
"""So that polygons are told apart without colour."""


@dataclass(frozen=True, slots=True)
class Spoke:
    """A dimension: its name and the direction from the centre in which it grows."""

    name: str
    angle: float

    def at(self, share: float, radius: float = RADIUS) -> tuple[float, float]:
        """Where a share of the radius lies, in units of the drawing."""
        return (
            round(WIDTH / 2 + share * radius * math.sin(self.angle), 2),
            round(HEIGHT / 2 - share * radius * math.cos(self.angle), 2),
        )

    @property
    def anchor(self) -> str:
        """How the text at its end is aligned."""
        across = math.sin(self.angle)
        return "middle" if abs(across) < 0.2 else "start" if across > 0 else "end"


def radar(series: Mapping[str, Mapping[str, float]], axis: Axis, label: str) -> Markup:
    """Polygons of series -> dimension -> value; the axis runs from the centre outwards.

    The k-th polygon has the class "series-k" and the colour of "tone-k". A dimension that a series
    lacks pulls its polygon to the centre. Hidden from screen readers but for its label: a table
    should say the values.
    """
    names = list(dict.fromkeys(name for values in series.values() for name in values))
    spokes = [Spoke(name, 2 * math.pi * k / len(names)) for k, name in enumerate(names)]
    marks = [*_grid(spokes, axis), *(_name(spoke) for spoke in spokes)]
    marks += [_polygon(k, spokes, axis, series[name], name) for k, name in enumerate(series)]
    frame = Markup('<svg class="radar" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>')
    inner = axis.ticks[:-1][-2::-2]  # room for the digits, and for the name at the end
    text = Markup().join(_ring_text(spokes[0], axis, tick) for tick in inner)
    return frame.format(WIDTH, HEIGHT, visible(label), Markup().join(marks), text)


def _share(axis: Axis, value: float) -> float:
    return axis.at(value) / 100 if math.isfinite(value) else 0.0


def _grid(spokes: Sequence[Spoke], axis: Axis) -> list[Markup]:
    rings = [
        Markup('<polygon class="ring" points="{}"/>').format(
            _points([spoke.at(_share(axis, tick)) for spoke in spokes])
        )
        for tick in axis.ticks
    ]
    lines = [
        Markup('<line class="spoke" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
            *spoke.at(0), *spoke.at(1)
        )
        for spoke in spokes
    ]
    return [*rings, *lines]


def _polygon(
    k: int, spokes: Sequence[Spoke], axis: Axis, values: Mapping[str, float], name: str
) -> Markup:
    places = [spoke.at(_share(axis, values.get(spoke.name, math.nan))) for spoke in spokes]
    dots = Markup().join(Markup('<circle cx="{}" cy="{}" r="3.5"/>').format(*p) for p in places)
    return Markup(
        '<g class="series series-{} tone-{}"><title>{}</title>'
        '<polygon points="{}" stroke-dasharray="{}"/>{}</g>'
    ).format(k, k % 8, visible(name), _points(places), _DASHES[k // 2 % len(_DASHES)], dots)


def _name(spoke: Spoke) -> Markup:
    x, y = spoke.at(1, RADIUS + 16)
    below = 9 if math.cos(spoke.angle) < -0.2 else 0 if math.cos(spoke.angle) > 0.2 else 4
    text = Markup('<text class="name" x="{}" y="{}" text-anchor="{}">{}</text>')
    return text.format(x, round(y + below, 2), spoke.anchor, visible(spoke.name))


def _ring_text(spoke: Spoke, axis: Axis, tick: float) -> Markup:
    x, y = spoke.at(_share(axis, tick))
    percent = f"{number(100 * tick, 0)} %"
    return Markup('<text class="tick" x="{}" y="{}">{}</text>').format(x + 5, y - 3, percent)


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in places)
