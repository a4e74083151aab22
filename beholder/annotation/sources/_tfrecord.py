"""TFRecord files without TensorFlow: their frames, each with its check sums verified.

A frame is: length (8 bytes), masked CRC-32C of the length (4), data, masked CRC-32C of the data
(4), all little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from beholder.annotation.sources._crc32c import crc32c
from beholder.annotation.sources._place import Readable
from beholder.errors import AnnotationError

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Frame:
    """The data of one record, where its frame begins in the file, and whether its sum is right."""

    offset: int
    data: bytes
    intact: bool


def read_frames(file: Readable, name: str) -> Iterator[Frame]:
    """The frames of a file, one in memory at a time.

    A record whose own sum is wrong is told and passed over, since the next frame is still found.
    Raises AnnotationError, with name and offset, if a length is damaged or the file ends inside
    a frame.
    """
    offset = 0
    while header := file.read(_HEADER.size):
        if len(header) < _HEADER.size:
            raise _cut(name, offset)
        length, check = _HEADER.unpack(header)
        if check != masked(header[:8]):
            raise AnnotationError(
                f"{name}, byte {offset}: the check sum of the record's length is wrong; "
                "the file is damaged or no TFRecord, download it again"
            )
        data, footer = file.read(length), file.read(_FOOTER.size)
        if len(data) < length or len(footer) < _FOOTER.size:
            raise _cut(name, offset)
        yield Frame(offset, data, _FOOTER.unpack(footer) == (masked(data),))
        offset += _HEADER.size + length + _FOOTER.size


def masked(data: bytes) -> int:
    """The CRC-32C of data, turned and shifted as TFRecord stores it."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _cut(name: str, offset: int) -> AnnotationError:
    return AnnotationError(
        f"{name}, byte {offset}: the file ends inside a record; download it again"
    )
