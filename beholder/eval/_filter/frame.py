"""Rows of a table under evaluation: their columns as arrays, and who divided by zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from beholder.eval._filter.statistics import Floats, Rows, Statistic, Statistics
from beholder.eval._filter.texts import number_name

if TYPE_CHECKING:
    import pyarrow as pa

Bools = npt.NDArray[np.bool_]
Values: TypeAlias = Any
"""One value of all rows (bool, int, float, str), or an array of numbers, or a pyarrow one of texts.
"""


class Frame:
    """Some rows of one part of a table; every column that is asked must have a value in them.

    Attributes:
        rows: (n,) which ones, counted in the part.
    """

    def __init__(self, part: _Part, rows: Rows) -> None:
        self._part, self.rows = part, rows

    @staticmethod
    def of(
        part: pa.Table, rows: Rows, *, start: int = 0, statistics: Statistics | None = None
    ) -> Frame:
        """Rows of a part that begins at row `start` of the table whose statistics are known."""
        return Frame(_Part(part, start, statistics or Statistics()), rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def divides(self) -> Bools:
        """(n,) the rows that divided by zero so far."""
        found: Bools = self._part.divides[self.rows]
        return found

    def divide_by_zero(self, where: Bools) -> None:
        """Note the rows that divide by zero; (n,) or one for all."""
        self._part.divides[self.rows[np.broadcast_to(where, self.rows.shape)]] = True

    def where(self, chosen: Bools) -> Frame:
        """The chosen ones of these rows."""
        return self if chosen.all() else Frame(self._part, self.rows[chosen])

    def column(self, name: str) -> Values:
        """The values of a column: bool, integers, float32, float64 or texts."""
        return self._of(self._part.column(name))

    def number(self, name: str) -> Values:
        """The values of a column, of texts that are numbers those; see `_filter.texts`."""
        return self._of(self._part.column(self._part.number_name(name)))

    def _of(self, values: Values) -> Values:
        import pyarrow as pa  # noqa: PLC0415

        if len(self) == len(self._part.divides):
            return values
        return values.take(pa.array(self.rows)) if is_text(values) else values[self.rows]

    def statistic(self, asked: Statistic) -> Floats:
        """(n,) what a statistic of the whole table says of these rows."""
        is_level = asked.kind == "quantile"
        x = np.zeros(len(self)) if is_level else self.number(asked.column).astype(np.float64)
        rows = self.rows + self._part.start
        numbers, divides = self._part.statistics.at(asked, rows, x)
        self.divide_by_zero(divides)
        return numbers


class _Part:
    """What the frames of one part share."""

    def __init__(self, part: pa.Table, start: int, statistics: Statistics) -> None:
        self._table, self.start, self.statistics = part, start, statistics
        self.divides = np.zeros(len(part), bool)
        self._columns: dict[str, Values] = {}

    def column(self, name: str) -> Values:
        if name not in self._columns:
            self._columns[name] = _values(self._table[name])
        return self._columns[name]

    def number_name(self, name: str) -> str:
        return number_name(self._table, name)


def is_text(values: Values) -> bool:
    """Whether values are an array of texts."""
    return hasattr(values, "to_pylist")


def present(column: pa.ChunkedArray) -> Bools:
    """(n,) where a column has a value, and of numbers a finite one."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    found = column.is_valid()
    if pa.types.is_floating(column.type):
        found = pc.and_(found, pc.fill_null(pc.is_finite(column), False))  # noqa: FBT003
    values: Bools = found.to_numpy()
    return values


def _values(column: pa.ChunkedArray) -> Values:
    import pyarrow as pa  # noqa: PLC0415

    kind = column.type
    if pa.types.is_boolean(kind):
        return column.fill_null(False).to_numpy()  # noqa: FBT003
    if pa.types.is_integer(kind):
        return column.fill_null(0).to_numpy()
    if pa.types.is_float32(kind):
        return column.to_numpy()
    if pa.types.is_floating(kind):
        return column.cast(pa.float64()).to_numpy()
    return column.cast(pa.string()).combine_chunks()
