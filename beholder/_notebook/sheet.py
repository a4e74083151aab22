"""What a result shows of itself: a title, a small table, remarks; as HTML or as plain text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from beholder._notebook.plain import counted, figure, shorten, visible

ROWS = 20
"""Rows that are shown; how many more there are is said."""

_LONGEST = 400
"""Characters of one cell: a prompt may have thousands."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A small picture in a cell; plain text leaves it out.

    Attributes:
        uri: its data address.
        says: what it shows, for who does not see it.
        is_map: whether it is a map, which lies on grey.
    """

    uri: str
    says: str = ""
    is_map: bool = False


Cell = str | float | Drawn | None
"""Numbers are aligned to the right; None is a number that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A title, a table of at most `ROWS` rows, remarks, and further sheets below.

    Attributes:
        title: what this is and how large.
        header: a name for each column; without one the rows are pairs of name and value.
        rows: one cell for each column; rows after the first `ROWS` are not shown.
        unlisted: rows that are not even given here.
        notes: one line each, below the table.
        further: what follows.
    """

    title: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    unlisted: int = 0
    notes: Sequence[str] = ()
    further: Sequence[Sheet] = ()

    def html(self) -> str:
        """The sheet as HTML, everything escaped: no script, no request, light and dark."""
        return f'<div class="bh"><style>{_style()}</style>{self._inside()}</div>'

    def text(self) -> str:
        """The sheet as lines of text, columns aligned; pictures are left out."""
        plain = [k for k in range(self._width) if not self._is_drawn(k)]
        rows = [[_said(row[k]) for k in plain] for row in self.rows[:ROWS]]
        named = [[_said(self.header[k]) for k in plain]] if self.header else []
        right = [self._is_number(k) for k in plain]
        lines = [_said(self.title), *_aligned([*named, *rows], right), *map(_said, self._notes())]
        return "\n\n".join(["\n".join(lines), *(each.text() for each in self.further)])

    def _inside(self) -> str:
        right = [self._is_number(k) for k in range(self._width)]
        head = "".join(
            _in_html(name, "th", at) for name, at in zip(self.header, right, strict=False)
        )
        rows = "".join(_row(row, right) for row in self.rows[:ROWS])
        table = f"<caption>{_escaped(self.title)}</caption>"
        table += f"<thead><tr>{head}</tr></thead>" if head else ""
        notes = "".join(f"<p>{_escaped(note)}</p>" for note in self._notes())
        below = "".join(each._inside() for each in self.further)
        return f"<table>{table}<tbody>{rows}</tbody></table>{notes}{below}"

    def _notes(self) -> list[str]:
        more = max(0, len(self.rows) - ROWS) + self.unlisted
        return [*([f"and {counted(more, 'more row')}"] if more else []), *self.notes]

    @property
    def _width(self) -> int:
        return len(self.header) or max(map(len, self.rows), default=0)

    def _column(self, k: int) -> list[Cell]:
        return [row[k] for row in self.rows[:ROWS]]

    def _is_number(self, k: int) -> bool:
        cells = [cell for cell in self._column(k) if cell is not None]
        return bool(cells) and all(isinstance(cell, (int, float)) for cell in cells)

    def _is_drawn(self, k: int) -> bool:
        return any(isinstance(cell, Drawn) for cell in self._column(k))


@cache
def _style() -> str:
    return Path(__file__).with_name("sheet.css").read_text(encoding="utf-8")


def _row(row: Sequence[Cell], right: Sequence[bool]) -> str:
    cells = (_in_html(cell, "td", at) for cell, at in zip(row, right, strict=True))
    return f"<tr>{''.join(cells)}</tr>"


def _in_html(cell: Cell, tag: str, is_number: bool) -> str:
    kind = ' class="bh-number"' if is_number else ' dir="auto"'
    return f"<{tag}{kind}>{_drawn(cell) if isinstance(cell, Drawn) else _escaped(cell)}</{tag}>"


def _drawn(picture: Drawn) -> str:
    kind = ' class="bh-map"' if picture.is_map else ""
    return f'<img{kind} src="{escape(picture.uri)}" alt="{_escaped(picture.says)}">'


def _escaped(cell: Cell) -> str:
    return escape(_said(cell))


def _said(cell: Cell) -> str:
    if isinstance(cell, Drawn):
        return cell.says
    return shorten(str(visible(cell)), _LONGEST) if isinstance(cell, str) else figure(cell)


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> Iterable[str]:
    widths = [max(map(_columns, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = [
            " " * (width - _columns(cell)) + cell if at else cell + " " * (width - _columns(cell))
            for cell, width, at in zip(row, widths, right, strict=True)
        ]
        yield "  ".join(padded).rstrip()


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes: those of East Asia take two."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide
