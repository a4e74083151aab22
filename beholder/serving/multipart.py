"""multipart/form-data (RFC 7578) that lies in memory and stays there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from beholder.serving.refusals import MalformedError, TooLargeError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_BOUNDARY = 70  # RFC 2046
_HEADERS = 4_096


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its name, its bytes, and its own Content-Type, "" if it has none."""

    name: str
    data: bytes
    kind: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def content_type(value: str) -> tuple[str, dict[str, str]]:
    """Type and parameters of a Content-Type; names are in lower case, values as they came."""
    kind, options = parse_options_header(value)
    parameters = {key.decode("latin-1"): of.decode("latin-1") for key, of in options.items()}
    return kind.decode("latin-1"), parameters


def parts_of(body: bytes, boundary: str, most: int) -> list[Part]:
    """The parts, in order.

    Raises:
        MalformedError: if it is no multipart/form-data, is cut off, or has a part without a name.
        TooLargeError: if there are more than `most` parts.
    """
    if not 0 < len(boundary) <= _BOUNDARY or not boundary.isascii():
        raise MalformedError("the Content-Type multipart/form-data needs its boundary")
    reading = _Reading(most)
    try:
        parser = MultipartParser(boundary.encode(), reading.callbacks)
        parser.write(body)
        parser.finalize()
    except MultipartParseError as error:
        raise MalformedError("the body is not multipart/form-data of its boundary") from error
    if not reading.ended:
        raise MalformedError("the body is cut off before the last boundary")
    return reading.parts


class _Reading:
    """What the parser tells, kept until it is a part."""

    def __init__(self, most: int) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._most = most
        self._begin()
        self.callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_part_data": self._add_data,
            "on_part_end": self._finish,
            "on_header_field": self._add_field,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) >= self._most:
            raise TooLargeError(f"more than {self._most:,} parts; ask in several requests")
        self._headers: dict[str, str] = {}
        self._field, self._value = bytearray(), bytearray()
        self._data: list[bytes] = []

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._add_header(self._field, data, start, end)

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._add_header(self._value, data, start, end)

    def _add_header(self, to: bytearray, data: bytes, start: int, end: int) -> None:
        if len(to) + end - start > _HEADERS or len(self._headers) >= 16:
            raise MalformedError("the headers of a part are too long")
        to += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._field, self._value = bytearray(), bytearray()

    def _finish(self) -> None:
        disposition, of = content_type(self._headers.get("content-disposition", ""))
        if disposition != "form-data" or "name" not in of:
            raise MalformedError(f"part {len(self.parts) + 1} has no name")
        kind = content_type(self._headers.get("content-type", ""))
        self.parts.append(Part(of["name"], b"".join(self._data), *kind))

    def _end(self) -> None:
        self.ended = True
