"""What a benchmark found, as rows: a ratio of two sides, or the reason why there is none.

A benchmark is given `--record FILE` (see `_options`) and appends its rows to it, one line of JSON
each; `python -m benchmarks` collects them into one table. Nothing heavy is imported here, so that
it can be read by the environment of the peers too.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, and the least and the most of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of a value a round."""
        return cls(statistics.median(values), min(values), max(values))

    @classmethod
    def of_ratios(cls, above: Sequence[float], below: Sequence[float]) -> Spread:
        """Of above / below, round by round: whatever slows a round slows both of its sides."""
        return cls.of([a / b for a, b in zip(above, below, strict=True)])

    def told(self, digits: int = 2) -> str:
        """Median and range, in words."""
        if self.low == self.high:
            return f"{self.median:.{digits}f}"
        return f"{self.median:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison. `area`, `what` and `against` together say which one it is, run after run.

    Attributes:
        area: scoring, training, metrics, statistics, serving, scale, ...
        what: what was done, with its sizes, since another size is another comparison.
        against: who did it beside us.
        ratio: of their cost to ours, so that 2 is twice as fast, unless `better` is "lower".
        unit: what both sides were measured in.
        goal: what the ratio is meant to reach; None if there is no promise.
        better: whether a larger ratio is the better one.
        peer: package and version of the other side; "" if it is a loop of our own.
        agreement: how far the results of both sides lie apart, in words.
        headline: whether the table of the README shows it.
    """

    area: str
    what: str
    against: str
    ratio: Spread
    unit: str = "CPU time"
    goal: float | None = None
    better: Better = "higher"
    peer: str = ""
    agreement: str = ""
    headline: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """Which comparison it is."""
        return self.area, self.what, self.against

    @property
    def reaches_goal(self) -> bool:
        """Whether the median is as good as was promised."""
        if self.goal is None:
            return True
        above = self.ratio.median >= self.goal
        return above if self.better == "higher" else self.ratio.median <= self.goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A comparison that could not be made here: a peer, a device or a right is not there."""

    area: str
    what: str
    reason: str


def record(rows: Iterable[Row | Missing], file: Path | None) -> None:
    """Append rows to a file; None keeps nothing."""
    if file is None:
        return
    with file.open("a", encoding="utf-8") as lines:
        lines.writelines(json.dumps(as_dict(row)) + "\n" for row in rows)


def recorded(file: Path) -> list[Row | Missing]:
    """The rows of a file, in the order in which they came; none if nobody wrote it."""
    if not file.exists():
        return []
    return [from_dict(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def as_dict(row: Row | Missing) -> dict[str, Any]:
    """Plain values, ratios with four digits."""
    told = asdict(row)
    if isinstance(row, Row):
        told["ratio"] = {name: float(f"{value:.4g}") for name, value in told["ratio"].items()}
    return told


def from_dict(told: dict[str, Any]) -> Row | Missing:
    """The row of `as_dict`."""
    if "reason" in told:
        return Missing(**told)
    return Row(**{**told, "ratio": Spread(**told["ratio"])})
