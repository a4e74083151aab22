"""A JSON list of any length, item by item, in flat memory: annotations are published as one."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from beholder.annotation.sources._place import Place, Readable
from beholder.errors import AnnotationError

_CHUNK = 1 << 20
_LARGEST_ITEM = 1 << 26
_SPACE = re.compile(r"[ \t\r\n]*")


def json_items(file: Readable, name: str) -> Iterator[object]:
    """The items of the list that a UTF-8 file holds; bytes that are no UTF-8 become surrogates.

    Raises AnnotationError, with the name and the character, where the text is no JSON list.
    """
    text = _Text(file, name)
    if text.take() != "[":
        raise text.fault("expected a list, as in [{…}, …]")
    if text.peek() == "]":
        text.take()
    else:
        yield from _items(text)
    if text.peek():
        raise text.fault("expected nothing after the list")


def json_rows(place: Place, names: Sequence[str]) -> Iterator[object]:
    """The items of several lists, one file after another."""
    for name in names:
        with place.opened(name) as file:
            yield from json_items(file, f"{place}/{name}")


def _items(text: _Text) -> Iterator[object]:
    separator = ","
    while separator == ",":
        yield text.item()
        separator = text.take()
    if separator != "]":
        raise text.fault("expected , or ]" if separator else "the list ends too early")


@dataclass(slots=True)
class _Text:
    """The text of a file from its first character that was not yet taken."""

    file: Readable
    name: str
    buffer: str = ""
    at: int = 0
    dropped: int = 0
    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
    )

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            self.at = self._space_ends()
            if self.at < len(self.buffer):
                return self.buffer[self.at]
            if not self.fill(_CHUNK):
                return ""

    def take(self) -> str:
        """The same, and past it."""
        character = self.peek()
        self.at += len(character)
        return character

    def item(self) -> object:
        """The next JSON value, and past it."""
        self.peek()
        wanted = _CHUNK
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self.buffer, self.at)
            except (json.JSONDecodeError, RecursionError) as error:
                if len(self.buffer) - self.at > _LARGEST_ITEM or not self.fill(wanted):
                    raise self.fault(f"not JSON: {error}") from error
                wanted *= 2
                continue
            if end == len(self.buffer) and self.fill(_CHUNK):
                continue  # a number may go on in the next chunk
            self.at = end
            return value

    def fill(self, size: int) -> bool:
        """Whether the file had more; what was taken is forgotten."""
        self.dropped += self.at
        data = self.file.read(size)
        self.buffer = self.buffer[self.at :] + self.decoder.decode(data, final=not data)
        self.at = 0
        return bool(data)

    def fault(self, why: str) -> AnnotationError:
        """What to raise for what comes next."""
        return AnnotationError(
            f"{self.name}, near character {self.dropped + self.at}: {why}; download it again"
        )

    def _space_ends(self) -> int:
        space = _SPACE.match(self.buffer, self.at)
        return space.end() if space else self.at
