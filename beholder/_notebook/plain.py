"""Text that shows what it is: nothing hidden, nothing that a page or a terminal would obey."""

from __future__ import annotations

import math
import re

UNKNOWN = "\N{EN DASH}"
BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They reorder the text after them, so that a file name can read as another."""
_HIDDEN = re.compile(f"[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff{''.join(sorted(BIDI_CONTROLS))}]")
"""Unicode's categories Cc and Cs, and the above."""


def visible(value: object) -> object:
    r"""Text with control characters, bidirectional overrides and lone surrogates spelt out.

    A bell becomes \x07; line breaks and tabs become spaces; what is not text passes untouched.
    """
    return _HIDDEN.sub(_spelt, value) if type(value) is str else value


def _spelt(found: re.Match[str]) -> str:
    character = found.group()
    return " " if character in "\n\r\t" else character.encode("unicode_escape").decode()


def shorten(text: str, length: int) -> str:
    """At most `length` characters, the last an ellipsis if something was cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def figure(value: float | None) -> str:
    """A number with four digits; an en dash for None and NaN."""
    if value is None or math.isnan(value):
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def interval(value: float | None, low: float | None, high: float | None) -> str:
    """A value with its interval, such as "0.912 [0.88, 0.94]"; the value alone without one."""
    if value is None or low is None or high is None:
        return figure(value)
    return f"{figure(value)} [{figure(low)}, {figure(high)}]"


def counted(number: int, noun: str) -> str:
    """A number and its noun, such as "1,204 pictures"."""
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"
