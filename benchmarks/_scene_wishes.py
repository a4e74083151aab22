"""What the prompt of a composed scene asks for, what a picture shows instead, and what it misses.

A prompt asks for one or two groups of photographed cut-outs: "a photo of two red apples up high
and a dog down low". It states a noun and a number of each group, the colour of most, and the side;
a picture may miss any of them. Left and right are no sides: the quickstart's text tower hardly
tells the two words apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from beholder.annotation.sources._scenes.chance import pick, weighted
from beholder.annotation.sources._scenes.clauses import OPPOSITE
from beholder.annotation.sources._scenes.cutouts import COLOURS, CutOut, cut_out
from beholder.annotation.sources._scenes.facts import Fact, alignment
from beholder.annotation.sources._scenes.layout import Group, Thing
from beholder.annotation.sources._scenes.nouns import article, head, plural

_GROUPS, _COUNTS, _TINTED = (0.6, 0.4), (0.6, 0.25, 0.15), 0.8
_MISSED = (0.3, 0.3, 0.25, 0.15)  # shares of the pictures that miss 0, 1, 2, 3 facts
_NUMBERS = ("", "", "two ", "three ")
_WHERE: Mapping[str, str] = {"top": "up high", "bottom": "down low"}
_HALF = 0.46  # the most that a thing takes of the picture's side, across its half
_ROW = 0.92  # what the things of a group share, along their half


@dataclass(frozen=True, slots=True)
class Wanted:
    """A group that is asked for or shown; without a colour it keeps its own."""

    what: CutOut
    count: int
    colour: str | None
    place: str

    @property
    def stated(self) -> Mapping[str, str]:
        """What a prompt says of it, but for the place: kind of fact -> value."""
        said = {"noun": self.what.noun, "count": str(self.count)}
        return said | ({"colour": self.colour} if self.colour else {})


Wish = tuple[Wanted, ...]


def wishes(things: Sequence[CutOut], count: int, rng: np.random.Generator) -> list[Wish]:
    """Wishes of `count` different prompts."""
    found: dict[str, Wish] = {}
    while len(found) < count:
        wish = _wish(things, rng)
        found[describe(wish)] = wish
    return list(found.values())


def describe(wish: Wish) -> str:
    """The prompt."""
    return "a photo of " + " and ".join(_phrase(one) for one in wish)


def shown_for(wish: Wish, things: Sequence[CutOut], rng: np.random.Generator) -> Wish:
    """What a picture shows that was meant for the wish: up to three facts are missed."""
    shown = list(wish)
    facts = [(k, kind) for k, one in enumerate(wish) for kind in one.stated] + [(0, "place")]
    chosen = rng.permutation(len(facts))[: weighted(_MISSED, rng)]
    for k, kind in (facts[int(place)] for place in chosen):
        if kind == "place":
            shown = [replace(one, place=OPPOSITE[one.place]) for one in shown]
        else:
            strangers = _strangers(things, [one.what for one in wish])
            shown[k] = _altered(shown[k], kind, strangers, rng)
    return tuple(shown)


def agreement(wish: Wish, shown: Wish) -> float:
    """1 less the share of the wish's facts that are missed, whichever group is taken for which."""
    padded = (*shown, *[None] * (len(wish) - len(shown)))
    return max(alignment(_facts(wish, order)) for order in permutations(padded, len(wish)))


def group(one: Wanted, rng: np.random.Generator) -> Group:
    """The group in the upper or lower half of the picture, its things side by side."""
    width, height = cut_out(one.what).size
    shape = (min(1.0, width / height), min(1.0, height / width))
    room = _ROW / one.count
    extent = min(room / shape[0], _HALF / shape[1], float(rng.uniform(0.38, 0.46)))
    things = [_thing(one, k, room, extent, rng) for k in range(one.count)]
    return Group(one.what, one.colour, one.colour, None, one.place, things)


def _wish(things: Sequence[CutOut], rng: np.random.Generator) -> Wish:
    whats = [pick(things, rng)]
    if weighted(_GROUPS, rng):
        whats.append(pick(_strangers(things, whats), rng))
    place = pick(tuple(_WHERE), rng)
    return tuple(
        Wanted(what, weighted(_COUNTS, rng) + 1, _tint(rng), where)
        for what, where in zip(whats, (place, OPPOSITE[place]), strict=False)
    )


def _tint(rng: np.random.Generator) -> str | None:
    return pick(tuple(COLOURS), rng) if rng.random() < _TINTED else None


def _phrase(one: Wanted) -> str:
    noun = plural(one.what.noun) if one.count > 1 else one.what.noun
    words = f"{one.colour} {noun}" if one.colour else noun
    start = _NUMBERS[one.count] or f"{article(words)} "
    return f"{start}{words} {_WHERE[one.place]}"


def _strangers(things: Sequence[CutOut], known: Sequence[CutOut]) -> list[CutOut]:
    """Things that could not be taken for any of those known."""
    kinds, heads = {one.kind for one in known}, {head(one.noun) for one in known}
    return [t for t in things if t.kind not in kinds and head(t.noun) not in heads]


def _altered(
    one: Wanted, kind: str, strangers: Sequence[CutOut], rng: np.random.Generator
) -> Wanted:
    if kind == "noun":
        return replace(one, what=pick(strangers, rng))
    if kind == "count":
        return replace(one, count=pick([n for n in (1, 2, 3) if n != one.count], rng))
    return replace(one, colour=pick([name for name in COLOURS if name != one.colour], rng))


def _facts(wish: Wish, shown: Sequence[Wanted | None]) -> list[Fact]:
    """All that is stated beside what is there; the side of the first group stands for all."""
    told = [
        Fact((k,), kind, seen.stated.get(kind, "") if seen else "", said)
        for k, (one, seen) in enumerate(zip(wish, shown, strict=True))
        for kind, said in one.stated.items()
    ]
    first = shown[0].place if shown[0] else ""
    return [*told, Fact(tuple(range(len(wish))), "place", first, wish[0].place)]


def _thing(one: Wanted, number: int, room: float, extent: float, rng: np.random.Generator) -> Thing:
    x = 0.04 + room * (number + 0.5) if one.count > 1 else float(rng.uniform(0.3, 0.7))
    y = 0.26 if one.place == "top" else 0.74
    return Thing(x, y, extent, float(rng.uniform(-8, 8)), bool(rng.random() < 0.5))
