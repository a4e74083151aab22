"""How many values of a column lie where, counted as they stream by: memory does not grow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BINS = 4096
"""Most bins that are counted; the width of one is the accuracy of a quantile."""

_NARROWEST = -64  # binary exponent of the narrowest bin, for a column of one value
_DIGITS = 60  # binary, of the number of the last bin
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bar:
    """Values from `low` up to, and without, `high`: how many rows were kept and dropped."""

    low: float
    high: float
    kept: int
    dropped: int


class Tally:
    """Counts of the finite values of one column, of kept and dropped rows apart.

    Bins are as wide as a power of two and begin at multiples of it. They are as narrow as lets
    `BINS` of them hold every value seen, so that the counts depend on the values alone, and not on
    their order or on how they were cut into blocks.

    Attributes:
        column: its name.
        low, high: the least and the greatest value; NaN before the first.
        missing: kept rows and dropped rows without a finite value.
    """

    def __init__(self, column: str) -> None:
        self.column = column
        self.low = self.high = math.nan
        self.missing = (0, 0)
        self._exponent = _NARROWEST
        self._counts: Counts = np.zeros((2, 0), np.int64)

    @property
    def kept(self) -> int:
        """Kept rows with a value."""
        return int(self._counts[0].sum())

    @property
    def dropped(self) -> int:
        """Dropped rows with a value."""
        return int(self._counts[1].sum())

    def add(self, values: npt.ArrayLike, kept: npt.ArrayLike) -> None:
        """Count a block of values (n,), of which the rows flagged in `kept` (n,) were kept."""
        flags = np.asarray(kept, dtype=bool)
        numbers = np.asarray(values, dtype=np.float64)
        finite = np.isfinite(numbers)
        lost = (int((~finite & flags).sum()), int((~finite & ~flags).sum()))
        self.missing = (self.missing[0] + lost[0], self.missing[1] + lost[1])
        numbers, flags = numbers[finite], flags[finite]
        if len(numbers):
            self._make_room(float(numbers.min()), float(numbers.max()))
            first = float(self._first)
            places = (np.floor(np.ldexp(numbers, -self._exponent)) - first).astype(np.int64)
            for side, chosen in enumerate((flags, ~flags)):
                self._counts[side] += np.bincount(places[chosen], minlength=self._counts.shape[1])

    def quantile(self, share: float) -> float:
        """The value below which about `share` of all rows lie, to the width of a bin.

        NaN if there is no value. Never below the least or above the greatest.
        """
        running = self._counts.sum(0).cumsum()
        if not len(running):
            return math.nan
        place = int(np.searchsorted(running, share * running[-1]))
        before = float(running[place - 1]) if place else 0.0
        inside = max(float(running[place]) - before, 1.0)
        within = (self._first + place) + (share * float(running[-1]) - before) / inside
        return min(max(math.ldexp(within, self._exponent), self.low), self.high)

    def bars(self, most: int, low: float, high: float) -> list[Bar]:
        """At most about `most` bars of one width that cover [low, high], with all that lies there.

        Bars are as wide as a power of two; those at the ends reach beyond `low` and `high`.
        """
        exponent = self._exponent
        while _span(low, high, exponent) > most:
            exponent += 1
        shift = exponent - self._exponent
        step = math.ldexp(1.0, exponent)
        first, last = math.floor(low / step), math.floor(high / step)
        bars = []
        for place in range(first, last + 1):
            kept, dropped = self._within(place << shift, (place + 1) << shift)
            bars.append(Bar(place * step, (place + 1) * step, kept, dropped))
        return bars

    @property
    def _first(self) -> int:
        return _place(self.low, self._exponent)

    def _within(self, start: int, stop: int) -> tuple[int, int]:
        """Kept and dropped rows of the bins from one place to another."""
        first, width = self._first, self._counts.shape[1]
        at, to = (min(max(place - first, 0), width) for place in (start, stop))
        kept, dropped = self._counts[:, at:to].sum(1).tolist()
        return kept, dropped

    def _make_room(self, low: float, high: float) -> None:
        """Let the bins reach from `low` to `high` too, and be as wide as that needs."""
        width = self._counts.shape[1]
        if width:
            low, high = min(low, self.low), max(high, self.high)
            if (low, high) == (self.low, self.high):
                return
        exponent = max(self._exponent, math.frexp(max(-low, high))[1] - _DIGITS)
        while _span(low, high, exponent) > BINS:
            exponent += 1
        counts = np.zeros((2, _span(low, high, exponent)), np.int64)
        if width:
            # Python's integers, since shifts may be by more than 63
            old, new, shift = self._first, _place(low, exponent), exponent - self._exponent
            places = np.array([((old + k) >> shift) - new for k in range(width)])
            for side in range(2):
                np.add.at(counts[side], places, self._counts[side])
        self.low, self.high, self._exponent, self._counts = low, high, exponent, counts


def shown_range(tally: Tally, marks: Sequence[float]) -> tuple[float, float]:
    """What of a column is drawn: all but the outermost thousandths, and every finite mark."""
    ends = [tally.quantile(0.001), tally.quantile(0.999)]
    values = [value for value in (*ends, *marks) if math.isfinite(value)]
    return min(values, default=math.nan), max(values, default=math.nan)


def _place(value: float, exponent: int) -> int:
    return math.floor(math.ldexp(value, -exponent))


def _span(low: float, high: float, exponent: int) -> int:
    return _place(high, exponent) - _place(low, exponent) + 1
