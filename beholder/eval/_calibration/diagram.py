"""A reliability diagram as inline SVG that stretches with the page; its text does not.

Widths are percentages and heights pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from beholder._page.plots import Axis
from beholder._page.wording import number, visible
from beholder.calibration import Bin, Reliability

_TOP, _HEIGHT, _BOTTOM = 22, 230, 40  # room above for the name of the axis, below for the ticks
_LEFT = 40  # pixels for the ticks
_STATED = Axis(0.5, 1.0, (0.5, 0.6, 0.7, 0.8, 0.9, 1.0))


def diagram(before: Reliability, after: Reliability, label: str) -> Markup:
    """What was stated against what people said, each bin a dot; what is right lies on the diagonal.

    Rings are before the calibration, dots with their intervals after it.
    """
    axis = _observed(before.bins, after.bins)
    marks = [
        *(_grid(axis)),
        _line(axis, (0.5, 0.5), (1.0, 1.0), "guide"),
        *_joined(axis, before.bins, "before"),
        *_joined(axis, after.bins, "after"),
        *(_ring(axis, each) for each in before.bins),
        *(mark for each in after.bins for mark in _dot(axis, each)),
    ]
    frame = Markup(
        '<div class="diagram" style="padding-left:{}px"><svg class="plot" width="100%" '
        'height="{}" role="img" aria-label="{}">{}</svg></div>'
    )
    text = visible(f"{label}: {_told('before', before)}; {_told('after', after)}")
    return frame.format(_LEFT, _TOP + _HEIGHT + _BOTTOM, text, Markup().join(marks))


def _told(when: str, found: Reliability) -> str:
    bins = ", ".join(f"{number(b.stated)} was {number(b.observed.value)}" for b in found.bins)
    return f"{when}, stated {bins}"


def _observed(*bins: Sequence[Bin]) -> Axis:
    """The axis of what people said: from the lowest tenth that anything reaches."""
    reached = [0.5]
    for each in (one for some in bins for one in some):
        reached += [v for v in (each.observed.low, each.observed.value) if math.isfinite(v)]
    lowest = max(0, math.floor(10 * min(reached) + 1e-9))
    return Axis(lowest / 10, 1.0, tuple(k / 10 for k in range(lowest, 11)))


def _y(axis: Axis, value: float) -> float:
    return round(_TOP + _HEIGHT * (1 - axis.at(value) / 100), 1)


def _grid(axis: Axis) -> list[Markup]:
    """A line and a label at each tick, and what the axes are."""
    flat = Markup(
        '<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>'
        '<text x="0" dx="-8" y="{1}" text-anchor="end">{2}</text>'
    )
    tick = Markup('<text x="{}%" y="{}" text-anchor="{}">{}</text>')
    ends = {0.5: "start", 1.0: "end"}
    low = _TOP + _HEIGHT
    return [
        *(flat.format(_y(axis, v), _y(axis, v) + 4, number(v, 1)) for v in axis.ticks),
        *(
            tick.format(_STATED.at(v), low + 18, ends.get(v, "middle"), number(v, 1))
            for v in _STATED.ticks
        ),
        Markup('<text x="0" dx="{}" y="10">people agree</text>').format(-_LEFT),
        Markup('<text x="100%" y="{}" text-anchor="end">stated probability</text>').format(
            low + 36
        ),
    ]


def _line(axis: Axis, start: tuple[float, float], end: tuple[float, float], kind: str) -> Markup:
    return Markup('<line class="{}" x1="{}%" y1="{}" x2="{}%" y2="{}"/>').format(
        kind, _STATED.at(start[0]), _y(axis, start[1]), _STATED.at(end[0]), _y(axis, end[1])
    )


def _joined(axis: Axis, bins: Sequence[Bin], kind: str) -> list[Markup]:
    points = [(one.stated, one.observed.value) for one in bins]
    return [_line(axis, a, b, kind) for a, b in pairwise(points)]


def _ring(axis: Axis, each: Bin) -> Markup:
    return Markup('<circle class="ring" cx="{}%" cy="{}" r="3.5"/>').format(
        _STATED.at(each.stated), _y(axis, each.observed.value)
    )


def _dot(axis: Axis, each: Bin) -> list[Markup]:
    """A dot that says its numbers under the pointer, with its interval."""
    found = each.observed
    told = f"stated {number(each.stated)}, people {number(found.value)}, {each.pairs} pairs"
    dot = Markup('<circle class="dot" cx="{}%" cy="{}" r="4.5"><title>{}</title></circle>').format(
        _STATED.at(each.stated), _y(axis, found.value), told
    )
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return [dot]
    return [_line(axis, (each.stated, found.low), (each.stated, found.high), "whisker"), dot]
