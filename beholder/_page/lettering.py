"""A prompt in any script set in lines of a given width, word by word, for pictures made by Pillow.

Words are placed by the two-level part of the Unicode bidirectional algorithm (UAX 9, rule L2), so
that a Hebrew or Arabic prompt runs from the right with its Latin words in place. A character that
no installed face draws is a box.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, cast

from beholder._page.wording import visible
from beholder.types import WordLabel

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

FACES = (
    "NotoSans-Regular.ttf",
    "DejaVuSans.ttf",
    "SegoeUI.ttf",
    "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc",
    "Hiragino Sans GB.ttc",
    "msyh.ttc",
    "NotoSansThai-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
)
"""Files that systems ship, asked in this order for what Pillow's own face cannot draw."""

_NOWHERE = "\U0010ffff"  # no face draws it, so all show their box
_RIGHT_TO_LEFT = {"R", "AL"}
_MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")


@dataclass(frozen=True, slots=True)
class Piece:
    """A word, or a space or punctuation between words; its place once it is set.

    Attributes:
        word: None between words.
        x: its left edge in its line, in pixels.
        is_reversed: whether it reads from the right.
    """

    text: str
    word: WordLabel | None = None
    width: float = 0.0
    x: float = 0.0
    is_reversed: bool = False

    @property
    def is_space(self) -> bool:
        """Whether a line may end here without showing it."""
        return self.text.isspace()


def set_lines(
    pieces: Iterable[tuple[str, WordLabel | None]],
    size: int,
    width: int,
    *,
    most: int | None = None,
) -> list[list[Piece]]:
    """The lines of a text cut into words, each piece at its place; at least one line.

    Args:
        pieces: as `beholder._page.wording.pieces` gives them.
        size: of the letters, in pixels.
        width: of the lines; a word that is wider is broken anywhere.
        most: lines beyond this many are left out and an ellipsis says so.
    """
    measured = [replace(p, width=width_of(p.text, size)) for p in _parts(pieces)]
    lines = _filled(measured, size, width)
    if most is not None and len(lines) > most:
        lines = [*lines[: most - 1], _cut(lines[most - 1], size, width)]
    base = next(filter(lambda found: found is not None, map(_reads_right, measured)), None) or False
    return [_placed(line, base=base, width=width) for line in lines]


def draw_piece(
    canvas: ImageDraw, piece: Piece, at: tuple[float, float], size: int, ink: str
) -> None:
    """Draw a piece with the left end of its baseline at that place."""
    from PIL.ImageFont import Layout  # noqa: PLC0415

    face = face_for(piece.text, size)
    text, direction = piece.text, None
    if piece.is_reversed and face.layout_engine == Layout.RAQM:
        direction = "rtl"
    elif piece.is_reversed:  # a face without shaping draws what it is given from the left
        text = text.translate(_MIRRORED)[::-1]
    canvas.text(at, text, ink, face, anchor="ls", direction=direction)


def width_of(text: str, size: int) -> float:
    """How wide a text is in pixels."""
    return face_for(text, size).getlength(text)


def face_for(text: str, size: int) -> FreeTypeFont:
    """The first face that draws every character of a text, or that with the fewest boxes."""
    known = range(len(faces(size)))
    return faces(size)[min(known, key=lambda face: sum(not _draws(face, c) for c in set(text)))]


@cache
def faces(size: int) -> tuple[FreeTypeFont, ...]:
    """Pillow's own scalable face, the same on every machine, then what this system has."""
    from PIL import ImageFont  # noqa: PLC0415

    found = [cast("FreeTypeFont", ImageFont.load_default(size))]
    for name in FACES:
        with suppress(OSError):
            found.append(ImageFont.truetype(name, size))
    return tuple(found)


@cache
def _draws(face: int, character: str) -> bool:
    drawn = faces(32)[face].getmask
    return character.isspace() or bytes(drawn(character)) != bytes(drawn(_NOWHERE))


def _parts(pieces: Iterable[tuple[str, WordLabel | None]]) -> Iterator[Piece]:
    """Words as they are; what lies between them cut at its spaces, each run of which is one."""
    for text, word in pieces:
        shown = str(visible(text))
        if word is not None:
            yield Piece(shown, word)
        else:
            yield from (Piece(" " if p.isspace() else p) for p in re.findall(r"\s+|\S+", shown))


def _unbroken(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Runs that stay on one line: a line may end at spaces and between two words that touch."""
    run: list[Piece] = []
    for piece in pieces:
        touches = run and not (piece.is_space or run[-1].is_space)
        if touches and not (piece.word and run[-1].word):
            run.append(piece)
        else:
            if run:
                yield run
            run = [piece]
    if run:
        yield run


def _filled(pieces: Sequence[Piece], size: int, width: int) -> list[list[Piece]]:
    lines: list[list[Piece]] = [[]]
    for run in _unbroken(pieces):
        parts = [run] if _length(run) <= width else [[c] for p in run for c in _letters(p, size)]
        for part in parts:
            if lines[-1] and _length(lines[-1]) + _length(part) > width:
                lines.append([])
            if lines[-1] or not part[0].is_space:
                lines[-1].extend(part)
    return lines if lines[-1] or len(lines) == 1 else lines[:-1]


def _letters(piece: Piece, size: int) -> list[Piece]:
    return [replace(piece, text=c, width=width_of(c, size)) for c in piece.text]


def _length(pieces: Iterable[Piece]) -> float:
    return sum(piece.width for piece in pieces)


def _cut(line: Sequence[Piece], size: int, width: int) -> list[Piece]:
    """The line with an ellipsis at its end, and less before it where that needs room."""
    end = Piece("…", width=width_of("…", size))
    kept = list(line)
    while kept and _length(kept) + end.width > width:
        kept.pop()
    return [*kept, end]


def _placed(line: Sequence[Piece], *, base: bool, width: int) -> list[Piece]:
    """The pieces from left to right with their places; what reads from the right starts there."""
    while line and line[-1].is_space:
        line = line[:-1]
    levels = _levels(line, base=base)
    x = width - _length(line) if base else 0.0
    placed = []
    for k in _visual(levels):
        placed.append(replace(line[k], x=x, is_reversed=levels[k] % 2 == 1))
        x += line[k].width
    return placed


def _reads_right(piece: Piece) -> bool | None:
    """Whether a piece reads from the right, by its first letter; None if it has none."""
    for character in piece.text:
        kind = unicodedata.bidirectional(character)
        if kind == "L" or kind in _RIGHT_TO_LEFT:
            return kind in _RIGHT_TO_LEFT
    return None


def _levels(line: Sequence[Piece], *, base: bool) -> list[int]:
    """UAX 9: 0 and 2 read from the left, 1 from the right; between two alike it is as they are."""
    known = [_reads_right(piece) for piece in line]
    before, after = list(known), list(known)
    for k in range(1, len(line)):
        before[k] = before[k - 1] if before[k] is None else before[k]
        after[-k - 1] = after[-k] if after[-k - 1] is None else after[-k - 1]
    reads = [b if b is not None and b == a else base for b, a in zip(before, after, strict=True)]
    return [1 if right else 2 * base for right in reads]


def _visual(levels: Sequence[int]) -> list[int]:
    """UAX 9, rule L2: from the highest level down, runs at that level or above are reversed."""
    order = list(range(len(levels)))
    for level in range(max(levels, default=0), 0, -1):
        marked = ((levels[k] >= level, k) for k in order)
        runs = [(is_high, [k for _, k in run]) for is_high, run in groupby(marked, itemgetter(0))]
        order = list(chain.from_iterable(run[::-1] if is_high else run for is_high, run in runs))
    return order
