"""Captions as noun phrases without what a scene decides itself: article, size and colour."""

from __future__ import annotations

import re

COLOUR_WORDS = frozenset(
    {"red", "orange", "yellow", "green", "blue", "purple", "pink"}
    | {"brown", "black", "white", "grey", "gray", "golden", "silver"}
)
_SIZE_WORDS = frozenset({"very", "small", "little", "tiny", "large", "big", "great"})
_CAPTION = re.compile(r"(?:an?|the) (.+?)(?:[.,;:!?(—]| (?:is|from|in|with|that|of|at) |$)")
_QUOTES = str.maketrans("", "", "\"“”'")
_MOST_WORDS = 3
_IRREGULAR = {"mouse": "mice", "goose": "geese", "wolf": "wolves", "scarf": "scarves"}
_UNCHANGED = ("fish", "sheep", "deer", "bison", "shrimp", "caribou", "wapiti", "trout", "fowl")
_HISSING = ("s", "x", "z", "ch", "sh")


def noun_phrase(caption: str) -> tuple[str, str | None] | None:
    """The thing of a caption and its colour: "A very small, red apple." is none, "A red apple!" is.

    None if the caption is no single thing with an article, or takes more than three words.
    """
    found = _CAPTION.match(caption.lower().translate(_QUOTES))
    if found is None or " of " in found.group():
        return None
    words = [word for word in found.group(1).split() if word not in _SIZE_WORDS]
    colours = [k for k, word in enumerate(words) if word in COLOUR_WORDS]
    colour = words[colours[0]] if colours else None
    words = words[colours[-1] + 1 :] if colours else words
    return (" ".join(words), colour) if 0 < len(words) <= _MOST_WORDS else None


def head(noun: str) -> str:
    """The word that says what it is: "car" of "a sports car"."""
    return noun.rsplit(" ", maxsplit=1)[-1]


def plural(noun: str) -> str:
    """More than one of them: "sports cars"."""
    start, last = noun[: len(noun) - len(head(noun))], head(noun)
    return start + _plural(last)


def article(phrase: str) -> str:
    """The article by the first letter, but "a european bear"."""
    return "an" if phrase[0] in "aeiou" and not phrase.startswith("eu") else "a"


def _plural(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith(_UNCHANGED):
        return word
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(_HISSING) else f"{word}s"
