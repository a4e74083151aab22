"""What the card says of each column and step, in numbers ready to be shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from beholder._page.wording import percent
from beholder.eval._filter_card.drawing import MOST_BARS, Mark, stacked, value
from beholder.eval._filter_card.tally import Bar, Tally, shown_range

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the waterfall: rows that came, that it dropped, and what for."""

    name: str
    came: int
    dropped: int
    reasons: Sequence[tuple[str, int]]

    @property
    def left(self) -> int:
        """Rows that went on."""
        return self.came - self.dropped


def steps(rows: int, stages: Sequence[tuple[str, Mapping[str, int]]]) -> Iterator[Step]:
    """The stages in order, the most frequent reasons of each first."""
    for name, dropped in stages:
        gone = sum(dropped.values())
        reasons = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
        yield Step(name=name, came=rows, dropped=gone, reasons=reasons)
        rows -= gone


def histogram(tally: Tally, marks: Sequence[Mark]) -> Markup:
    """The column's bars with its finite marks; "" if no row has a value."""
    rows = tally.kept + tally.dropped
    if not rows:
        return Markup()
    marks = [mark for mark in marks if math.isfinite(mark[0])]
    cuts = "".join(f", {name}" for _, name in marks)
    label = (
        f"{tally.column}: {rows:,} rows from {value(tally.low)} to {value(tally.high)}, "
        f"half of them below {value(tally.quantile(0.5))}; {tally.kept:,} kept{cuts}"
    )
    return stacked(_bars(tally, marks), marks, label)


def beyond(tally: Tally, marks: Sequence[Mark]) -> int:
    """Rows whose values lie outside what `histogram` draws."""
    drawn = sum(bar.kept + bar.dropped for bar in _bars(tally, marks))
    return tally.kept + tally.dropped - drawn


def _bars(tally: Tally, marks: Sequence[Mark]) -> list[Bar]:
    if not tally.kept + tally.dropped:
        return []
    low, high = shown_range(tally, [at for at, _ in marks])
    room = 0.5 * max(abs(low), 1e-3) if high - low <= 1e-9 * max(abs(low), abs(high)) else 0.0
    return tally.bars(MOST_BARS, low - room, high + room)


def quantiles(tally: Tally) -> list[tuple[str, str]]:
    """Name and value of each quantile of all rows that have a value."""
    return [(percent(share), value(tally.quantile(share))) for share in QUANTILES]
