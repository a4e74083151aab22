"""JSON arrays that arrive in pieces, decoded one element at a time."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator

from beholder.errors import AnnotationError

BLANK = re.compile(r"[ \t\r\n]*")
AFTER_VALUE = tuple(",] \t\r\n")
DECODER = json.JSONDecoder()
EARLY = "the export ended early or is damaged; run it again"


def decode_array(chunks: Iterable[bytes]) -> Iterator[object]:
    """Each element of a JSON array that is given as UTF-8 in pieces.

    Holds no more than the longest element twice and one chunk. Raises AnnotationError if the
    stream ends early or is something else.
    """
    reader = _Reader(chunks)
    try:
        yield from _elements(reader)
    except UnicodeDecodeError as error:
        raise AnnotationError(EARLY) from error


def _elements(reader: _Reader) -> Iterator[object]:
    opening = reader.take()
    if opening != "[":
        raise AnnotationError(f"the export is no JSON array: {opening!r}" if opening else EARLY)
    separator = reader.take() if reader.peek() == "]" else ","
    while separator == ",":
        yield reader.value()
        separator = reader.take()
    if separator != "]" or reader.peek():
        raise AnnotationError(EARLY)


class _Reader:
    """Text that arrives in pieces, of which only what is not read yet is kept."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._pieces = codecs.iterdecode(chunks, "utf-8")
        self._text, self._at = "", 0

    def peek(self) -> str:
        """The next character that is not blank, or "" at the end."""
        while True:
            blank = BLANK.match(self._text, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._grow():
                return ""

    def take(self) -> str:
        """The same character, read."""
        character = self.peek()
        self._at += len(character)
        return character

    def value(self) -> object:
        """The next value, which is whole once something else follows it: 12 may go on as 12.5."""
        self.peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                end = len(self._text)
            if self._text[end : end + 1] in AFTER_VALUE:
                self._at = end
                return value
            if not self._grow():
                raise AnnotationError(EARLY)

    def _grow(self) -> bool:
        """Read on until the unread text has doubled: a long value costs linear time."""
        unread = self._text[self._at :]
        pieces, arrived = [unread], 0
        for piece in self._pieces:
            pieces.append(piece)
            arrived += len(piece)
            if arrived > len(unread):
                break
        self._text, self._at = "".join(pieces), 0
        return arrived > 0
