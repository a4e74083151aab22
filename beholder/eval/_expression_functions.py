"""The functions of `eval._expression`.

    abs(x)    min(a, b, ...)    max(a, b, ...)
    quantile(column, q)      the value below which a share q of the rows lies
    zscore(column)           (x - mean) / standard deviation
    robust(column)           (x - median) / range of the middle half
    minmax(column)           (x - least) / (greatest - least)
    percentile(column)       share of rows at or below, equal values the mean of theirs

The last five are taken over all rows with a finite value, before any row is dropped; with a further
argument, a column, over the rows that have the same value there: zscore(mps.total, model). A group
of equal values divides by zero. See `_filter.statistics`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, cast

import numpy as np

from beholder.errors import ConfigError
from beholder.eval._expression_values import numbers
from beholder.eval._filter.frame import Frame, Values
from beholder.eval._filter.statistics import Kind, Statistic

Evaluate = Callable[[Frame], Values]

ELEMENTWISE: Mapping[str, Callable[..., Any]] = {
    "abs": np.abs,
    "min": np.minimum,
    "max": np.maximum,
}
_STATISTICS: Sequence[str] = ("quantile", "zscore", "robust", "minmax", "percentile")


@dataclass(frozen=True, slots=True)
class Call:
    """A function as it stands in a rule.

    Attributes:
        name: of the function, "" if it is none.
        text: as it was written.
        arguments: what is in its brackets.
        columns: for each argument the column that it names, None if it is something else.
        has_keywords: whether an argument has a name.
    """

    name: str
    text: str
    arguments: Sequence[ast.expr]
    columns: Sequence[str | None]
    has_keywords: bool


def called(
    call: Call,
    compiled: Callable[[ast.expr], Evaluate],
    ask: Callable[[Statistic], object],
) -> Evaluate:
    """What evaluates a call; `ask` hears of the statistics that it needs.

    Raises ConfigError if there is no such function, or its arguments do not fit.
    """
    if call.has_keywords or call.name not in (*ELEMENTWISE, *_STATISTICS):
        raise ConfigError(
            f"{call.text!r} is not allowed in a rule; its functions are "
            f"{', '.join((*ELEMENTWISE, *_STATISTICS))}"
        )
    if call.name in ELEMENTWISE:
        return _elementwise(call, [compiled(argument) for argument in call.arguments])
    statistic = _statistic(call)
    for argument, name in zip(call.arguments, call.columns, strict=True):
        if name is not None:
            compiled(argument)
    ask(statistic)
    return lambda rows: rows.statistic(statistic)


def _elementwise(call: Call, parts: Sequence[Evaluate]) -> Evaluate:
    combine = ELEMENTWISE[call.name]
    if (call.name == "abs") != (len(parts) == 1) or not parts:
        wanted = "one number" if call.name == "abs" else "two numbers or more"
        raise ConfigError(f"{call.text!r}: {call.name} takes {wanted}, got {len(parts)}")
    if call.name == "abs":
        return lambda rows: combine(numbers(parts[0](rows)))
    return lambda rows: reduce(combine, [numbers(part(rows)) for part in parts])


def _statistic(call: Call) -> Statistic:
    takes_level = call.name == "quantile"
    least = 1 + takes_level
    if not least <= len(call.arguments) <= least + 1:
        raise ConfigError(f"{call.text!r}: write {_usage(call.name)}")
    columns = [call.columns[0], *call.columns[least:]]
    if None in columns:
        raise ConfigError(f"{call.text!r}: {call.name} is of a column; write {_usage(call.name)}")
    column, *by = cast("list[str]", columns)
    level = _level(call) if takes_level else 0.0
    return Statistic(cast("Kind", call.name), column, by[0] if by else "", level)


def _level(call: Call) -> float:
    try:
        level = ast.literal_eval(call.arguments[1])
    except ValueError:
        level = None
    if not isinstance(level, (int, float)) or isinstance(level, bool) or not 0 <= level <= 1:
        raise ConfigError(f"{call.text!r}: a quantile is at a share in [0, 1], such as 0.9")
    return float(level)


def _usage(name: str) -> str:
    level = ", 0.9" if name == "quantile" else ""
    return f"{name}(mps.total{level}), or {name}(mps.total{level}, model) within groups"
