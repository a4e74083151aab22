"""A prompt that speaks of a scene, and which of its words state what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from beholder.annotation.sources._scenes.chance import pick
from beholder.annotation.sources._scenes.clauses import (
    OPPOSITE,
    Claims,
    Clause,
    misread,
    shortened,
    strangers,
    truths,
)
from beholder.annotation.sources._scenes.cutouts import CutOut
from beholder.annotation.sources._scenes.facts import Fact, Statement
from beholder.annotation.sources._scenes.layout import Group
from beholder.annotation.sources._scenes.nouns import article, plural

Piece: TypeAlias = tuple[str, Fact | None]
"""Some words, and the fact that they state."""

_COUNTS = ("", "one", "two", "three")
_SIZES: Mapping[str, Sequence[str]] = MappingProxyType(
    {"small": ("small", "tiny", "little"), "large": ("large", "big", "huge")}
)
_PLACES: Mapping[str, Sequence[tuple[str, str, str]]] = MappingProxyType(
    {
        "left": (("on the", "left", ""), ("on the", "left", "side"), ("to the", "left", "")),
        "right": (("on the", "right", ""), ("on the", "right", "side"), ("to the", "right", "")),
        "top": (("at the", "top", ""), ("near the", "top", "edge")),
        "bottom": (("at the", "bottom", ""), ("near the", "bottom", "edge")),
        "middle": (("in the", "middle", ""), ("in the", "center", "")),
    }
)
_RELATIONS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "left": ("to the", "left", "of"),
        "right": ("to the", "right", "of"),
        "top": ("", "above", ""),
        "bottom": ("", "below", ""),
    }
)
_STARTS = ("", "", "", "a photo of", "a photograph of", "a picture of", "photo of", "an image of")
_ENDS = ("", "", "", ", photograph", ", stock photo", ", photo collage", "; color photo")
_JOINTS = ("and", ", and", "with", ";")
_MISREAD = 0.5


def describe(
    groups: Sequence[Group],
    setting: str | None,
    things: Sequence[CutOut],
    rng: np.random.Generator,
) -> tuple[str, list[Statement]]:
    """A prompt with all its statements; in about half of the prompts one or more is wrong.

    `setting` says where it all is; wrong nouns are those of `things`.
    """
    truth = truths(groups)
    claims = shortened(truth, rng)
    if rng.random() < _MISREAD:
        claims = misread(claims, strangers(groups, things), rng)
    told = [_told(clause, truth, rng) for clause in claims.clauses]
    body = _related(told, claims, truth, rng) if claims.relation else _listed(told, rng)
    return _written(body, setting, rng)


def _told(clause: Clause, truth: Sequence[Clause], rng: np.random.Generator) -> list[Piece]:
    """The words of one clause, such as "two", "small", "red", "apples", "on the", "left"."""
    pieces: list[Piece] = []
    if clause.count:
        pieces.append((_COUNTS[clause.count], clause.fact("count", truth)))
    if clause.size:
        pieces.append((pick(_SIZES[clause.size], rng), clause.fact("size", truth)))
    if clause.colour:
        pieces.append((clause.colour, clause.fact("colour", truth)))
    noun = plural(clause.noun) if clause.count > 1 else clause.noun
    pieces.append((noun, clause.fact("noun", truth)))
    if not clause.count:
        pieces.insert(0, (article(pieces[0][0]), None))
    if clause.place:
        before, word, after = pick(_PLACES[clause.place], rng)
        pieces += [(before, None), (word, clause.fact("place", truth)), (after, None)]
    return pieces


def _related(
    told: Sequence[list[Piece]],
    claims: Claims,
    truth: Sequence[Clause],
    rng: np.random.Generator,
) -> list[Piece]:
    """The first group by where it lies from the second, or the other way round."""
    first, second = told
    said, true = str(claims.relation), str(truth[0].place)
    if rng.random() < 0.5:
        first, second, said, true = second, first, OPPOSITE[said], OPPOSITE[true]
    before, word, after = _RELATIONS[said]
    return [
        *first,
        (before, None),
        (word, Fact((0, 1), "place", true, said)),
        (after, None),
        *second,
    ]


def _listed(told: Sequence[list[Piece]], rng: np.random.Generator) -> list[Piece]:
    order = [told[int(k)] for k in rng.permutation(len(told))]
    joint = pick(_JOINTS, rng)
    pieces = list(order[0])
    for number, clause in enumerate(order[1:], 2):
        pieces += [(joint if number == len(order) else ",", None), *clause]
    return pieces


def _written(
    body: Sequence[Piece], setting: str | None, rng: np.random.Generator
) -> tuple[str, list[Statement]]:
    start, end = pick(_STARTS, rng), pick(_ENDS, rng)
    where = setting if setting and rng.random() < 0.6 else ""
    close = "." if rng.random() < 0.3 else ""
    pieces: list[Piece] = [(start, None), *body, (where, None), (end, None), (close, None)]
    prompt, statements = "", []
    for words, fact in pieces:
        prompt += " " if prompt and words and words[0] not in ",.;" else ""
        if fact:
            statements.append(Statement(fact, len(prompt), len(prompt) + len(words)))
        prompt += words
    if rng.random() < 0.4:
        prompt = prompt[0].upper() + prompt[1:]
    return prompt, statements
