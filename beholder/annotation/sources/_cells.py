"""One row of a published file: its cells by name, each checked when it is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from beholder.errors import DataError


class LeftOutError(DataError):
    """A row that gives no record.

    Attributes:
        reason: a short sentence that is the same for every such row, for counting them.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of row `at`, counted from 1; every method raises LeftOutError for other cells."""

    at: int
    cells: Mapping[str, object]

    @classmethod
    def of(cls, at: int, cells: object) -> Row:
        """A row of cells; LeftOutError if it is something else."""
        if isinstance(cells, LeftOutError):
            raise cells
        if not isinstance(cells, Mapping):
            raise LeftOutError("the row is no object", _shown(cells))
        return cls(at, cells)

    def text(self, name: str) -> str:
        """A cell of text that is not empty and that UTF-8 can hold."""
        return _text(name, self.cells.get(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """A cell that is a list of texts."""
        return tuple(_text(name, value) for value in self.items(name))

    def number(self, name: str) -> float:
        """A cell that is a finite number."""
        return _number(name, self.cells.get(name))

    def numbers(self, name: str) -> tuple[float, ...]:
        """A cell that is a list of finite numbers."""
        return tuple(_number(name, value) for value in self.items(name))

    def pictures(self, name: str, ranks: Sequence[float]) -> tuple[str, ...]:
        """A cell that is a list of pictures, two or more, one for each of the `ranks`."""
        names = self.texts(name)
        if len(names) != len(ranks) or len(names) < 2:
            raise LeftOutError(
                "not as many ranks as pictures, or fewer than two",
                f"{len(names)} pictures, {len(ranks)} ranks",
            )
        return names

    def items(self, name: str) -> Sequence[object]:
        """A cell that is a list."""
        value = self.cells.get(name)
        if not isinstance(value, list):
            raise LeftOutError(f"{name} is no list", _shown(value))
        return value


def competition_ranks(values: Sequence[float]) -> tuple[int, ...]:
    """1 for the lowest value, equal ranks for equal values: 0, 2, 2, 7 become 1, 2, 2, 4."""
    return tuple(1 + sum(other < value for other in values) for value in values)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise LeftOutError(f"{name} is no text", _shown(value))
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise LeftOutError(f"{name} is not valid Unicode", _shown(value)) from error
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise LeftOutError(f"{name} is no number", _shown(value))
    return value


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
