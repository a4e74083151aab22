"""The words of a prompt and how many annotators say that the picture misses them.

Words are those of RichHF-18K: the prompt cut at spaces and at , . ? ! " : and ;. Other white
space cuts as well. Scripts that put no spaces between words, such as Chinese, Japanese and Thai,
would become one word a sentence; there every character, with the marks that it carries, is a word
of its own, and their own punctuation cuts too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from beholder.types import WordLabel

Span = tuple[int, int]
"""Start and end of a part of a prompt in code points, end exclusive."""

_PUBLISHED = re.compile(r'[^ ,.?!":;]+')
_OWN_PUNCTUATION = "、。，．？！：；・「」『』【】《》〈〉（）"  # noqa: RUF001  (full width is meant)
_UNSPACED = (
    "\u0e01-\u0e30\u0e32-\u0e33\u0e40-\u0e46"  # Thai
    "\u0e81-\u0eb0\u0eb2-\u0eb3\u0ebd-\u0ec6"  # Lao
    "\u1000-\u102a\u103f-\u1055"  # Burmese
    "\u1780-\u17b3"  # Khmer
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003fffd"  # Chinese
)
_MARKS = (
    "\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece"
    "\u102b-\u103e\u1056-\u1059\u17b4-\u17d3\u3099-\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef"
)
_PARTS = re.compile(f"[{_UNSPACED}][{_MARKS}]*|[^{_UNSPACED}{_OWN_PUNCTUATION}\\s]+")


def richhf_spans(prompt: str) -> list[Span]:
    """The words of RichHF-18K, one for each of its published labels."""
    return [found.span() for found in _PUBLISHED.finditer(prompt)]


def word_spans(prompt: str) -> list[Span]:
    """The words of a prompt in any language, in order; those of `richhf_spans` or parts of them."""
    return [
        found.span()
        for start, end in richhf_spans(prompt)
        for found in _PARTS.finditer(prompt, start, end)
    ]


def label_words(prompt: str, marked: Sequence[Sequence[Span]]) -> list[WordLabel]:
    """Every word with the share of annotators who mark it, 0 if there is no annotator.

    `marked` holds the spans of each annotator. A word is marked by one who covers at least half
    of its characters, by one span or several together.
    """
    covered = [_covered(spans) for spans in marked]
    return [
        WordLabel(prompt[start:end], start, end, _share(start, end, covered))
        for start, end in word_spans(prompt)
    ]


def _covered(spans: Sequence[Span]) -> set[int]:
    return {place for start, end in spans for place in range(start, end)}


def _share(start: int, end: int, covered: Sequence[set[int]]) -> float:
    marks = [2 * len(places.intersection(range(start, end))) >= end - start for places in covered]
    return sum(marks) / len(marks) if marks else 0.0
