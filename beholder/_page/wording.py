"""Words and numbers as the reader sees them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TypeVar

from beholder._notebook.plain import UNKNOWN as UNKNOWN
from beholder._notebook.plain import shorten as shorten
from beholder._notebook.plain import visible as visible
from beholder.types import WordLabel, WordRelevance

Word = TypeVar("Word", WordLabel, WordRelevance)

MINUS = "\N{MINUS SIGN}"


def number(value: float | None, digits: int = 2) -> str:
    """A number with a true minus sign; an en dash for None and NaN."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def decimals(values: Iterable[float]) -> int:
    """With how many decimals values are told apart, in [2, 8]; those not finite do not count.

    Two digits of their range are written, or of the largest value where they are as good as equal.
    """
    known = [value for value in values if math.isfinite(value)]
    largest = max(map(abs, known), default=0.0)
    span = max(known) - min(known) if known else 0.0
    size = span if span > 1e-6 * largest else largest
    return min(max(2, 1 + math.ceil(-math.log10(size))), 8) if size else 2


def percent(share: float | None) -> str:
    """A share in [0, 1] as whole percent; an en dash for None and NaN."""
    if share is None or not math.isfinite(share):
        return UNKNOWN
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def in_markdown(text: object) -> str:
    """Text that Markdown shows as it is, on one line: no markup, link, table cell or formula.

    Nor does a bare address become a link, `&lt;` a character, or `@name` somebody's name.
    """
    shown = re.sub(r"([\\`*_{}\[\]<>#|~$&@])", r"\\\1", str(visible(str(text))))
    return re.sub(r":(?=//)|(?<=www)\.|(?<=mailto):|(?<=xmpp):", r"\\\g<0>", shown, flags=re.I)


def pieces(prompt: str, words: Iterable[Word]) -> list[tuple[str, Word | None]]:
    """The prompt cut at its words, in order; what lies between words has none. Nothing is lost."""
    found: list[tuple[str, Word | None]] = []
    at = 0
    for word in sorted(words, key=lambda word: word.start):
        if word.start > at:
            found.append((prompt[at : word.start], None))
        found.append((prompt[max(word.start, at) : word.end], word))
        at = max(at, word.end)
    if at < len(prompt):
        found.append((prompt[at:], None))
    return found
