"""Plots as inline SVG whose lengths are percentages: they stretch with the page, their text not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from beholder._page.wording import number, visible

Values = Sequence[float] | npt.NDArray[np.float64]

BINS = 32
"""Bars of a histogram: wide enough to see at 300 px, fine enough to show two humps."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A horizontal scale from `low` to `high` with labelled ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: Iterable[float]) -> Axis:
        """The shortest axis that holds every finite value, ticks at round numbers inside it.

        One value alone, or several as good as equal, lie in the middle; without any the axis is
        [0, 1].
        """
        finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
        low, high = min(finite), max(finite)
        if math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-9):  # finer ticks cannot be written
            low, high = low - 0.5, high + 0.5
        step = _round_step(high - low)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return cls(low, high, tuple(round(k * step, 12) for k in range(first, last + 1)))

    def at(self, value: float) -> float:
        """Where a value lies, in percent of the width; values outside lie on the edge."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def label(self, value: float) -> str:
        """A tick's text, with as many decimals as the ticks need."""
        step = self.ticks[1] - self.ticks[0]
        return number(value, max(0, math.ceil(-math.log10(step) - 1e-9)))


def _round_step(span: float) -> float:
    """The largest step of 1, 2 or 5 times a power of ten that fits into the span 2.5 times."""
    power = 10.0 ** math.floor(math.log10(span / 2.5))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= span / 2.5 * (1 + 1e-9))


def interval(
    axis: Axis,
    value: float,
    low: float,
    high: float,
    label: str,
    *,
    guide: float | None = None,
    height: int = 32,
) -> Markup:
    """A dot with its interval on one row; `guide` draws a dashed line, such as chance.

    What is not finite is not drawn. A row of less than 24 pixels has a smaller dot.
    """
    marks = [_line(axis.at(axis.low), axis.at(axis.high), "rail")]
    if guide is not None:
        marks.append(_upright(axis.at(guide), "guide"))
    if math.isfinite(low) and math.isfinite(high):
        marks.append(_line(axis.at(low), axis.at(high), "whisker"))
    if math.isfinite(value):
        marks.append(_dot(axis.at(value), "dot small" if height < 24 else "dot"))
    return _svg(marks, label, height=height)


def scale(axis: Axis, *, guide: float | None = None, name: str = "") -> Markup:
    """The tick labels below the rows of an axis, and below them the name of the guide line.

    Hidden from screen readers: the rows say their values.
    """
    texts = [_text(axis.at(tick), 12, axis.label(tick)) for tick in axis.ticks]
    if guide is not None:
        texts.append(_text(axis.at(guide), 28, name))
    frame = Markup('<svg class="plot scale" width="100%" height="{}" aria-hidden="true">{}</svg>')
    return frame.format(16 if guide is None else 32, Markup().join(texts))


def counts(values: Values, axis: Axis) -> list[int]:
    """How many values lie in each of `BINS` equal parts of the axis; non-finite ones nowhere."""
    shares = (finite(values) - axis.low) / (axis.high - axis.low)
    places = np.minimum(np.round(shares.clip(0, 1), 4) * BINS, BINS - 1).astype(np.int64)
    tally: list[int] = np.bincount(places, minlength=BINS).tolist()
    return tally


def finite(values: Values) -> npt.NDArray[np.float64]:
    """The values that are finite numbers."""
    numbers = np.asarray(values, dtype=np.float64)
    known: npt.NDArray[np.float64] = numbers[np.isfinite(numbers)]
    return known


def histogram(axis: Axis, values: Values, label: str, *, peak: float) -> Markup:
    """Bars of `values` with a line at their mean; `peak` is the share of the tallest bar."""
    known = finite(values)
    tally = counts(known, axis)
    bars = [
        Markup('<rect class="bar" x="{}%" width="{}%" y="{}%" height="{}%"/>').format(
            round(100 * k / BINS + 0.25, 2),
            round(100 / BINS - 0.5, 2),
            round(100 - height, 2),
            round(height, 2),
        )
        for k, count in enumerate(tally)
        if count and (height := 94 * count / len(known) / peak)
    ]
    mean = [_upright(axis.at(float(known.mean())), "mean")] if len(known) else []
    return _svg([*bars, _base(), *mean], label, height=52)


def dumbbell(people: float, model: float | None, label: str) -> Markup:
    """People's share (ring) and the model's probability (dot) for the first picture.

    The left end means that the first picture is surely better, the right end the second.
    """
    axis = Axis(0.0, 1.0, (0.0, 0.5, 1.0))
    marks = [_line(0.0, 100.0, "rail"), _upright(50.0, "guide half")]
    if model is not None:
        marks.append(_line(axis.at(1 - people), axis.at(1 - model), "whisker"))
        marks.append(_dot(axis.at(1 - model), "dot"))
    marks.append(_dot(axis.at(1 - people), "ring"))
    return _svg(marks, label, height=26)


def place(axis: Axis, value: float, label: str) -> Markup:
    """A small tick that shows where one score lies among all."""
    marks = [_line(0.0, 100.0, "rail")]
    if math.isfinite(value):
        marks.append(_dot(axis.at(value), "dot small"))
    return _svg(marks, label, height=12)


def shares(parts: Sequence[tuple[str, int]], label: str) -> Markup:
    """One bar cut into parts, each (CSS class, count)."""
    total = sum(count for _, count in parts) or 1
    marks, start = [], 0
    for kind, count in parts:
        marks.append(
            Markup('<rect class="{}" x="{}%" width="{}%" y="0" height="100%"/>').format(
                kind, round(100 * start / total, 2), round(100 * count / total, 2)
            )
        )
        start += count
    return _svg(marks, label, height=14)


def _svg(marks: Sequence[Markup], label: str, *, height: int) -> Markup:
    frame = Markup(
        '<svg class="plot" width="100%" height="{}" role="img" aria-label="{}">'
        "<title>{}</title>{}</svg>"
    )
    text = visible(label)
    return frame.format(height, text, text, Markup().join(marks))


def _line(start: float, end: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{}%" x2="{}%" y1="50%" y2="50%"/>').format(kind, start, end)


def _upright(at: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{}%" x2="{}%" y1="0" y2="100%"/>').format(kind, at, at)


def _base() -> Markup:
    return Markup('<line class="rail" x1="0" x2="100%" y1="100%" y2="100%"/>')


def _dot(at: float, kind: str) -> Markup:
    return Markup('<circle class="{}" cx="{}%" cy="50%" r="{}"/>').format(
        kind, at, 4 if "small" in kind else 6
    )


def _text(at: float, y: int, text: str) -> Markup:
    anchor = "start" if at < 2 else "end" if at > 98 else "middle"
    element = Markup('<text x="{}%" y="{}" text-anchor="{}">{}</text>')
    return element.format(at, y, anchor, visible(text))
