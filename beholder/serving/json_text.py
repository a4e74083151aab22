"""JSON of strangers: read strictly, and refused before it costs more than it is long.

RFC 8259 and nothing beside it: no NaN or Infinity, no key twice, UTF-8 only. A few megabytes of
brackets would become gigabytes of objects, so they are counted before anything is built. What is
wrong is told by its place, never by quoting it.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from beholder.serving.refusals import MalformedError, TooLargeError

_STRUCTURE = (b",", b"[", b"{")
_STRETCH = 2**20
_KEYS = 1_000
_DIGITS = 400  # the longest that Python or JavaScript write are 309


def strict_json(body: bytes, most: int) -> object:
    """The document.

    Args:
        body: as it came.
        most: commas and opening brackets that it may have, which bounds what it can become.

    Raises:
        MalformedError: if it is no JSON, or nested too deeply.
        TooLargeError: if it has more than `most`.
    """
    _check_structure(body, most)
    try:
        return _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise MalformedError(f"the body is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise MalformedError(
            f"the body is not JSON at character {error.pos}: {error.msg.lower()}"
        ) from None
    except RecursionError:
        raise MalformedError("the body is nested too deeply") from None


def _check_structure(body: bytes, most: int) -> None:
    """In stretches, so that a body of nothing else is not counted to its end."""
    found = 0
    for start in range(0, len(body), _STRETCH):
        found += sum(body.count(mark, start, start + _STRETCH) for mark in _STRUCTURE)
        if found > most:
            raise TooLargeError(
                f"the body has more than {most:,} commas and brackets; ask in several requests"
            )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > _KEYS:
        raise MalformedError(f"an object in the body has more than {_KEYS:,} keys")
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise MalformedError("an object in the body has the same key twice")
    return fields


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS:
        raise MalformedError(f"a number in the body has more than {_DIGITS} digits")
    return int(digits)


def _number(digits: str) -> float:
    if len(digits) > _DIGITS:
        raise MalformedError(f"a number in the body has more than {_DIGITS} digits")
    value = float(digits)
    if not math.isfinite(value):
        raise MalformedError("a number in the body is too large for 64 bits")
    return value


def _refuse(constant: str) -> NoReturn:
    raise MalformedError(f"the body holds {constant}, which is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_float=_number, parse_constant=_refuse
)
