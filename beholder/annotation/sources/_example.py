"""`tf.train.Example` without TensorFlow or protobuf: a message of features, each a list of values.

Example  { Features features = 1 }
Features { map<string, Feature> feature = 1 }           an entry is { key = 1, value = 2 }
Feature  { oneof { BytesList = 1, FloatList = 2, Int64List = 3 } }
*List    { repeated value = 1 }                         numbers packed or one by one
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from beholder.errors import DataError

Values = list[bytes] | list[float] | list[int]

_VARINT, _EIGHT_BYTES, _DELIMITED, _FOUR_BYTES = 0, 1, 2, 5
_FIXED = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
_FEATURE = 1
_BYTES, _FLOATS, _INTEGERS = 1, 2, 3


def read_example(data: bytes) -> dict[str, Values]:
    """Feature name -> its values; unknown fields are skipped, as protobuf does.

    Raises DataError if the bytes are no such message.
    """
    features: dict[str, Values] = {}
    for message in _messages(data, _FEATURE):
        for entry in _messages(message, _FEATURE):
            name = b"".join(_messages(entry, 1)[-1:])
            value = b"".join(_messages(entry, 2)[-1:])
            features[_utf8(name)] = _values(value)
    return features


def _values(feature: bytes) -> Values:
    for number, content in _fields(feature):
        if number == _BYTES and isinstance(content, bytes):
            return _messages(content, 1)
        if number == _FLOATS and isinstance(content, bytes):
            return [value for part in _messages(content, 1) for value in _floats(part)]
        if number == _INTEGERS and isinstance(content, bytes):
            return [value for number, part in _fields(content) for value in _integers(part)]
    return []


def _floats(part: bytes) -> tuple[float, ...]:
    if len(part) % 4:
        raise DataError(f"{len(part)} bytes are no list of 4-byte numbers")
    return struct.unpack(f"<{len(part) // 4}f", part)


def _integers(part: bytes | int) -> Iterator[int]:
    if isinstance(part, int):
        yield _signed(part)
        return
    at = 0
    while at < len(part):
        value, at = _varint(part, at)
        yield _signed(value)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _messages(data: bytes, number: int) -> list[bytes]:
    return [c for n, c in _fields(data) if n == number and isinstance(c, bytes)]


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and content of each field: an integer if it is a varint, else its bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _DELIMITED:
            length, at = _varint(data, at)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise DataError(f"field {number} has wire type {wire}, which no Example has")
        if at + length > len(data):
            raise DataError(f"field {number} ends {at + length - len(data)} bytes too late")
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise DataError("the message ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise DataError("a number has more than ten bytes")


def _utf8(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"the name of a feature is no text: {name!r}") from error
