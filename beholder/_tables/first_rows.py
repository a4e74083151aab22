"""A score table as notebooks show it: its first rows with their pictures, and how many failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from beholder._notebook.plain import counted, shorten
from beholder._notebook.sheet import ROWS, Cell, Drawn, Sheet
from beholder.errors import BeholderError
from beholder.storage import is_remote

if TYPE_CHECKING:
    from beholder.tables import ScoreTable

MOST_COUNTED = 200_000
"""Rows up to which failures are counted, which reads the whole table."""

_MOST_COLUMNS = 12
_PROMPT = 80
_SIDE = 96
_Row = Mapping[str, Any]


def first_rows(table: ScoreTable, scores: Sequence[str], *, pictures: bool = True) -> Sheet:
    """Picture, prompt and scores of the first rows, and why one has none.

    `scores` are the columns to show, the first dozen of them. Without `pictures` none is read. A
    picture that is elsewhere now is shown by its name. Raises DataError if there is no table.
    """
    errors = [f"{reward}.error" for reward in table.rewards]
    shown, hidden = scores[:_MOST_COLUMNS], scores[_MOST_COLUMNS:]
    rows = list(islice(table.rows(["image", "prompt", *shown, *errors]), ROWS))
    columns: dict[str, list[Cell]] = {"picture": _drawn(rows) if pictures else _named(rows)}
    columns["prompt"] = [shorten(row["prompt"] or "", _PROMPT) for row in rows]
    columns |= {name: [row[name] for row in rows] for name in shown}
    if any(row[name] for row in rows for name in errors):
        columns["no score because"] = [_reasons(row, errors) for row in rows]
    return Sheet(
        title=_title(table),
        header=list(columns),
        rows=list(zip(*columns.values(), strict=True)),
        unlisted=max(0, len(table) - ROWS),
        notes=[*_further(hidden), *_failures(table)],
    )


def _title(table: ScoreTable) -> str:
    by = ", ".join(table.rewards) or "no reward yet"
    return f"{table.address}: {counted(len(table), 'row')}, scored by {by}"


def _further(hidden: Sequence[str]) -> list[str]:
    return [f"further scores: {', '.join(hidden)}"] if hidden else []


def _reasons(row: _Row, errors: Sequence[str]) -> str:
    found = {name.removesuffix(".error"): row[name] for name in errors if row[name]}
    if len(set(found.values())) == 1 and len(found) == len(errors):
        return str(next(iter(found.values())))  # a picture that nobody can read
    return "; ".join(f"{reward}: {why}" for reward, why in found.items())


def _failures(table: ScoreTable) -> Iterator[str]:
    if len(table) > MOST_COUNTED:
        yield "failures are not counted here; error_counts() does"
        return
    for reward, counts in table.error_counts().items():
        if counts:
            said = ", ".join(f"{count:,} {code}" for code, count in counts.items())
            yield f"without a score of {reward}: {said}"


def _named(rows: Iterable[_Row]) -> list[Cell]:
    return [shorten_path(row["image"]) for row in rows]


def _drawn(rows: Sequence[_Row]) -> list[Cell]:
    """A thumbnail of each row's picture, or its name where it cannot be read now."""
    from beholder._page.thumbnails import Thumbnail, thumbnail  # noqa: PLC0415  (comes last)
    from beholder.located import Finder  # noqa: PLC0415

    def drawn(image: str, finder: Finder) -> Cell:
        if is_remote(image):  # looking at a table downloads nothing
            return shorten_path(image)
        try:
            small = thumbnail(finder.find(image), side=_SIDE)
        except BeholderError:  # its archive is damaged or gone
            return shorten_path(image)
        return Drawn(small.uri, image) if isinstance(small, Thumbnail) else shorten_path(image)

    with Finder() as finder:
        return [drawn(row["image"], finder) for row in rows]


def shorten_path(image: str, length: int = 48) -> str:
    """The end of a name, which tells pictures apart, behind an ellipsis if something was cut."""
    return image if len(image) <= length else f"…{image[1 - length :]}"
