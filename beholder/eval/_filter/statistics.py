"""Statistics of a column over a whole table, or over each group of its rows.

They are taken over all rows with a finite value, and with a group where one is asked for, before
any row is dropped. Sums are of float64, and exact orders, no sketches: while they are made, a
column takes about 40 bytes a row, afterwards 4 (groups) or 8 (percentiles).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from beholder.errors import ConfigError
from beholder.eval._filter.decision import Parts
from beholder.eval._filter.texts import number_column

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int64]
_DIGEST = 16  # bytes
Kind = Literal["quantile", "zscore", "percentile", "minmax", "robust"]


@dataclass(frozen=True, slots=True)
class Statistic:
    """What is asked of a column.

    Attributes:
        kind: "quantile", the value below which a share `level` lies, linear between neighbours;
            "zscore", (x - mean) / standard deviation of the population; "percentile", the share of
            rows at or below, of equal values the mean of theirs, in (0, 1]; "minmax",
            (x - least) / (greatest - least), in [0, 1]; "robust", (x - median) / (the range of
            the middle half).
        column: of numbers.
        by: the column whose values form groups, "" for one group.
        level: of a quantile, in [0, 1].
    """

    kind: Kind
    column: str
    by: str = ""
    level: float = 0.0

    @property
    def columns(self) -> list[str]:
        """The columns that it reads."""
        return [self.column, self.by] if self.by else [self.column]


@dataclass(frozen=True, slots=True)
class _Answer:
    """A statistic as (x - shift) / scale, each by group, or as a number of each row."""

    codes: Codes | None
    shift: Floats
    scale: Floats
    each: Floats | None = None

    def at(self, rows: Rows, x: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """(k,) the numbers of some rows with values x, and where they divide by zero."""
        if self.each is not None:
            return self.each[rows], np.zeros(len(rows), bool)
        group = 0 if self.codes is None else self.codes[rows]
        shift, scale = self.shift[group], self.scale[group]
        with np.errstate(divide="ignore", invalid="ignore"):
            numbers = np.broadcast_to((x - shift) / scale, x.shape)
        return numbers, np.broadcast_to(scale == 0, x.shape)


class Groups:
    """Numbers of the values of a column, in the order in which they first occur; -1 for none.

    Args:
        named: whether `values` are to be told apart by name; otherwise a long text is remembered by
            128 bits of its BLAKE2b, since a column may hold another prompt in every row.

    Attributes:
        values: value, or digest of a long text -> its number.
    """

    def __init__(self, *, named: bool = False) -> None:
        self.values: dict[Any, int] = {}
        self._named = named
        self._codes: list[Codes] = []

    def add(self, column: pa.ChunkedArray) -> None:
        """Number the next rows."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_finite(column), column, None)
        encoded = column.combine_chunks().dictionary_encode()
        found = encoded.dictionary.to_pylist()
        names = found if self._named else map(_short, found)
        known = [self.values.setdefault(name, len(self.values)) for name in names]
        places = encoded.indices.fill_null(len(known)).to_numpy()
        self._codes.append(np.array([*known, -1], np.int32)[places])

    def codes(self) -> Codes:
        """(n,) of all rows."""
        return np.concatenate([np.empty(0, np.int32), *self._codes])


def _short(value: object) -> object:
    """A value, or 16 bytes that stand for a text that is longer."""
    if not isinstance(value, str) or len(value) <= _DIGEST:
        return value
    return hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()


class Statistics:
    """The answers to some statistics of one table; see `measured`."""

    def __init__(self, answers: Mapping[Statistic, _Answer] = MappingProxyType({})) -> None:
        self._answers = answers

    def at(
        self, statistic: Statistic, rows: Rows, x: Floats
    ) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """(k,) what a statistic says of some rows of the table, whose values are x.

        The second array tells where it divides by zero, as in a group of equal values.
        """
        return self._answers[statistic].at(rows, x)

    def levels(self) -> dict[Statistic, float]:
        """Each quantile over all rows, as a plot draws it; empty columns have none."""
        return {
            asked: -float(answer.shift[0])
            for asked, answer in self._answers.items()
            if asked.kind == "quantile" and not asked.by and np.isfinite(answer.shift[0])
        }


def measured(table: Parts, asked: Iterable[Statistic]) -> Statistics:
    """The statistics of a table; reads their columns only. ConfigError if one holds text."""
    wanted = list(dict.fromkeys(asked))
    numbers, groups = _gather(table, wanted)
    codes = {name: found.codes() for name, found in groups.items()}
    return Statistics({s: _answer(s, numbers[s.column], codes.get(s.by)) for s in wanted})


def _gather(
    table: Parts, wanted: Sequence[Statistic]
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Groups]]:
    numbers: dict[str, list[npt.NDArray[Any]]] = {s.column: [] for s in wanted}
    groups = {s.by: Groups() for s in wanted if s.by}
    names = list(dict.fromkeys([*numbers, *groups]))
    for part in table.parts(names) if names else ():
        for name, arrays in numbers.items():
            arrays.append(_numbers(name, number_column(part, name)))
        for name, found in groups.items():
            found.add(part[name])
    return {name: np.concatenate(arrays) for name, arrays in numbers.items()}, groups


def _numbers(name: str, column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Numbers with NaN for none; ConfigError if the column holds text."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        if column.null_count < len(column):
            text = column.drop_null()[0].as_py()
            raise ConfigError(f"cannot compute with the text {text!r} of {name}")
        return np.full(len(column), np.nan, np.float32)
    kind = column.type if pa.types.is_float32(column.type) else pa.float64()
    values: npt.NDArray[Any] = column.cast(kind, safe=False).to_numpy()  # beyond 2^53, nearest
    return values


def _answer(asked: Statistic, values: npt.NDArray[Any], codes: Codes | None) -> _Answer:
    rows, ordered, starts = _ordered(values, codes)
    counts = np.diff(starts)
    if asked.kind == "percentile":
        each = np.full(len(values), np.nan)
        each[rows] = _mean_ranks(ordered, starts) / np.repeat(counts, counts)
        return _Answer(codes, np.empty(0), np.empty(0), each)
    shift, scale = _shift_and_scale(asked, ordered, starts)
    return _Answer(codes, shift, scale)


def _ordered(
    values: npt.NDArray[Any], codes: Codes | None
) -> tuple[Rows, Floats, npt.NDArray[np.int64]]:
    """Rows with a value by group and value, these values, and where each group starts and ends."""
    rows = np.flatnonzero(np.isfinite(values) & (True if codes is None else codes >= 0))
    if codes is None:
        rows = rows[np.argsort(values[rows], kind="stable")]
        return rows, values[rows].astype(np.float64), np.array([0, len(rows)])
    rows = rows[np.lexsort((values[rows], codes[rows]))]
    counts = np.bincount(codes[rows], minlength=int(codes.max(initial=-1)) + 1)
    return rows, values[rows].astype(np.float64), np.concatenate([[0], np.cumsum(counts)])


def _mean_ranks(ordered: Floats, starts: npt.NDArray[np.int64]) -> Floats:
    """Rank of each value in its group from 1, equal ones the mean of theirs."""
    fresh = np.ones(len(ordered) + 1, bool)
    fresh[1:-1] = ordered[1:] != ordered[:-1]
    fresh[starts] = True
    at = np.flatnonzero(fresh)
    first, last = at[:-1] + 1, at[1:]
    ranks = np.repeat((first + last) / 2, np.diff(at))
    return ranks - np.repeat(starts[:-1], np.diff(starts))


def _shift_and_scale(
    asked: Statistic, ordered: Floats, starts: npt.NDArray[np.int64]
) -> tuple[Floats, Floats]:
    if asked.kind == "quantile":  # (0 - shift) / 1, of x = 0
        return -_quantiles(ordered, starts, asked.level), np.ones(len(starts) - 1)
    if asked.kind == "zscore":
        return _mean_and_deviation(ordered, starts)
    low, high = (0.0, 1.0) if asked.kind == "minmax" else (0.25, 0.75)
    bottom, top = (_quantiles(ordered, starts, level) for level in (low, high))
    shift = bottom if asked.kind == "minmax" else _quantiles(ordered, starts, 0.5)
    return shift, top - bottom


def _quantiles(ordered: Floats, starts: npt.NDArray[np.int64], level: float) -> Floats:
    """The quantile of each group, linear between neighbours; NaN of an empty one."""
    found = np.full(len(starts) - 1, np.nan)
    counts = np.diff(starts)
    given = counts > 0
    place = level * (counts[given] - 1)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, counts[given] - 1)
    first = starts[:-1][given]
    low, high = ordered[first + below], ordered[first + above]
    found[given] = low + (high - low) * (place - below)
    return found


def _mean_and_deviation(ordered: Floats, starts: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    counts = np.diff(starts)
    given = counts > 0
    mean, deviation = np.full(len(counts), np.nan), np.full(len(counts), np.nan)
    first = starts[:-1][given]
    if not len(first):
        return mean, deviation
    mean[given] = np.add.reduceat(ordered, first) / counts[given]
    squares = (ordered - np.repeat(mean, counts)) ** 2
    deviation[given] = np.sqrt(np.add.reduceat(squares, first) / counts[given])
    # the mean of equal values is not always exactly theirs
    equal = ordered[first] == ordered[starts[1:][given] - 1]
    deviation[np.flatnonzero(given)[equal]] = 0
    return mean, deviation
