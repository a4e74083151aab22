"""Classical metrics as sheets: each number with its interval and what made it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from beholder._notebook.plain import counted, interval
from beholder._notebook.sheet import Cell, Sheet

if TYPE_CHECKING:
    from beholder.eval.measures._base import Measurement
    from beholder.eval.measuring import Comparison
    from beholder.eval.sides import SideSummary

_NAMED = 5
"""Rows that could not be used which are named."""


def measurement_sheet(found: Measurement) -> Sheet:
    """One number and everything that made it."""
    said = {
        found.metric: interval(found.value, found.low, found.high),
        "none because": found.why,
        "interval": found.interval,
        "real": found.real,
        "fake": found.fake,
        **found.protocol,
    }
    rows = [[name, _plain(value)] for name, value in said.items() if value not in ("", None)]
    return Sheet(title=f"Measurement of {found.metric}", rows=rows, notes=_caution([found]))


def comparison_sheet(compared: Comparison) -> Sheet:
    """Every number of two sides, then what became of their rows."""
    rows: list[list[Cell]] = [
        [m.metric, interval(m.value, m.low, m.high), m.real, m.fake, m.why or _made(m)]
        for m in compared.measurements
    ]
    sides = [side for side in (compared.real, compared.fake) if side is not None]
    return Sheet(
        title=" against ".join(side.source for side in reversed(sides)),
        header=["metric", "value [95%]", "real", "fake", "made with"],
        rows=rows,
        notes=[*_caution(compared.measurements), *(line for side in sides for line in _side(side))],
    )


def _made(found: Measurement) -> str:
    told = ("extractor", "weights", "resize", "clips")
    return ", ".join(str(found.protocol[key]) for key in told if found.protocol.get(key))


def _plain(value: object) -> Cell:
    return value if isinstance(value, (int, float)) and value is not True else str(value)


def _caution(found: Sequence[Measurement]) -> list[str]:
    names = ", ".join(dict.fromkeys(m.metric for m in found if m.biased))
    return [f"compares only with values of as many rows: {names}"] if names else []


def _side(side: SideSummary) -> list[str]:
    if side.kind == "reference":
        return [f"{side.source}: a file of features or statistics"]
    lines = [f"{side.source}: {side.rows} {side.kind}, {side.used} used"]
    lines += [f"{each.key}: {each.code}: {each.reason}" for each in side.failures[:_NAMED]]
    more = len(side.failures) - _NAMED
    return [*lines, f"and {counted(more, 'more failure')}"] if more > 0 else lines
