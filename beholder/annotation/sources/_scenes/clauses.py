"""What a prompt is to say of each group of a scene: the truth, and the truth with errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from beholder.annotation.sources._scenes.chance import pick
from beholder.annotation.sources._scenes.cutouts import COLOURS, CutOut
from beholder.annotation.sources._scenes.facts import WEIGHTS, Fact
from beholder.annotation.sources._scenes.layout import PLACES, Group
from beholder.annotation.sources._scenes.nouns import head

OPPOSITE: Mapping[str, str] = MappingProxyType(
    {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
)

_MOST = 3
_RELATION = -1


@dataclass(frozen=True, slots=True)
class Clause:
    """What is said of one group; None is not said.

    Attributes:
        about: the group's number; None if there is no such group.
        count: 0 is one thing whose number is not said.
    """

    about: int | None
    noun: str
    count: int = 0
    colour: str | None = None
    size: str | None = None
    place: str | None = None

    def fact(self, kind: str, truths: Sequence[Clause]) -> Fact:
        """What the clause says, beside the truth about each group."""
        said = str(getattr(self, kind))
        if self.about is None:
            return Fact((), kind, "", said)
        return Fact((self.about,), kind, str(getattr(truths[self.about], kind)), said)


@dataclass(frozen=True, slots=True)
class Claims:
    """All that is said of a scene.

    Attributes:
        clauses: about the groups in their order, and then about an absent one.
        relation: where the first of two groups lies from the second, one of OPPOSITE, if that is
            said in place of where they lie in the picture.
    """

    clauses: Sequence[Clause]
    relation: str | None = None


def truths(groups: Sequence[Group]) -> list[Clause]:
    """Everything that holds of each group."""
    return [
        Clause(k, g.what.noun, g.count, g.colour, g.size, g.place) for k, g in enumerate(groups)
    ]


def shortened(truth: Sequence[Clause], rng: np.random.Generator) -> Claims:
    """Some of what holds; of two groups sometimes how they lie to each other."""
    relates = len(truth) == 2 and rng.random() < 0.4
    clauses = [_shortened(one, rng, placed=not relates) for one in truth]
    return Claims(clauses, truth[0].place if relates else None)


def strangers(groups: Sequence[Group], things: Sequence[CutOut]) -> list[str]:
    """Nouns of things that could not be taken for any in the scene: of another kind and head."""
    kinds = {group.what.kind for group in groups}
    heads = {head(group.what.noun) for group in groups}
    return [t.noun for t in things if t.kind not in kinds and head(t.noun) not in heads]


def misread(claims: Claims, nouns: Sequence[str], rng: np.random.Generator) -> Claims:
    """The claims with one or more wrong, or else with one about a thing that is not there.

    Wrong nouns are taken from `nouns`.
    """
    clauses = claims.clauses
    if not claims.relation and len(clauses) < _MOST and rng.random() < 0.15:
        return Claims([*clauses, Clause(None, pick(nouns, rng))])
    chosen = _chosen(claims, rng)
    altered = [
        _misread(clause, {kind for k, kind in chosen if k == number}, nouns, rng)
        for number, clause in enumerate(clauses)
    ]
    relation = claims.relation
    if relation and (_RELATION, "place") in chosen:
        relation = OPPOSITE[relation]
    return Claims(altered, relation)


def _shortened(truth: Clause, rng: np.random.Generator, *, placed: bool) -> Clause:
    return replace(
        truth,
        count=0 if truth.count == 1 and rng.random() < 0.75 else truth.count,
        colour=truth.colour if rng.random() < 0.9 else None,
        size=truth.size if rng.random() < 0.7 else None,
        place=truth.place if placed and rng.random() < 0.8 else None,
    )


def _chosen(claims: Claims, rng: np.random.Generator) -> set[tuple[int, str]]:
    """At least one of the places that can be wrong, as the number of a clause and a kind."""
    places = [(k, kind) for k, clause in enumerate(claims.clauses) for kind in _said(clause)]
    places += [(_RELATION, "place")] if claims.relation else []
    chance = float(rng.uniform(0.05, 0.8))
    return {place for place in places if rng.random() < chance} or {pick(places, rng)}


def _said(clause: Clause) -> list[str]:
    optional = ("colour", "size", "place")
    return ["noun", "count", *(kind for kind in optional if getattr(clause, kind))]


def _misread(
    clause: Clause, kinds: set[str], nouns: Sequence[str], rng: np.random.Generator
) -> Clause:
    wrong = {kind: _wrong(kind, clause, nouns, rng) for kind in WEIGHTS if kind in kinds}
    return replace(clause, **wrong)


def _wrong(kind: str, clause: Clause, nouns: Sequence[str], rng: np.random.Generator) -> Any:
    """Another value than the clause has."""
    if kind == "noun":
        return pick(nouns, rng)
    if kind == "count":
        return _other(range(1, _MOST + 1), max(clause.count, 1), rng)
    if kind == "colour":
        return _other(COLOURS, clause.colour, rng)
    if kind == "size":
        return "small" if clause.size == "large" else "large"
    opposite = OPPOSITE.get(str(clause.place))
    if opposite and rng.random() < 0.7:
        return opposite
    return _other(PLACES, clause.place, rng)


def _other(values: Iterable[object], value: object, rng: np.random.Generator) -> object:
    return pick([other for other in values if other != value], rng)
