"""What stands where in a scene: up to three groups of equal things, each in a place of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from beholder.annotation.sources._scenes.chance import pick, weighted
from beholder.annotation.sources._scenes.cutouts import COLOURS, CutOut, cut_out

Box = tuple[float, float, float, float]
"""Left, top, right and bottom as shares of the picture's side."""

PLACES = ("left", "right", "top", "bottom", "middle")

_ALONE: Mapping[str, Box] = MappingProxyType(
    {
        "left": (0.02, 0.1, 0.48, 0.9),
        "right": (0.52, 0.1, 0.98, 0.9),
        "top": (0.1, 0.02, 0.9, 0.48),
        "bottom": (0.1, 0.52, 0.9, 0.98),
        "middle": (0.2, 0.2, 0.8, 0.8),
    }
)
_ROW: Mapping[str, Box] = MappingProxyType(
    {
        "left": (0.01, 0.12, 0.335, 0.88),
        "middle": (0.335, 0.12, 0.665, 0.88),
        "right": (0.665, 0.12, 0.99, 0.88),
    }
)
_COLUMN: Mapping[str, Box] = MappingProxyType(
    {
        "top": (0.12, 0.01, 0.88, 0.335),
        "middle": (0.12, 0.335, 0.88, 0.665),
        "bottom": (0.12, 0.665, 0.88, 0.99),
    }
)
_PAIRS = (("left", "right"), ("top", "bottom"))
_EXTENTS: Mapping[str | None, tuple[float, float]] = MappingProxyType(
    {"small": (0.17, 0.23), None: (0.28, 0.36), "large": (0.42, 0.62)}
)
_SIZES = tuple(_EXTENTS)
_GROUPS = (0.38, 0.42, 0.2)
_COUNTS = (0.62, 0.23, 0.15)
_TINTED = 0.3


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing in its place: middle and longer side as shares of the picture's side.

    Attributes:
        turn: degrees, counterclockwise.
        mirrored: whether left and right are exchanged.
    """

    x: float
    y: float
    extent: float
    turn: float
    mirrored: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Equal things.

    Attributes:
        what: the cut-out of each.
        colour: the one that they were tinted with, or have by nature; None if it has no name.
        tint: the colour to tint them with.
        size: "small", "large" or None.
        place: one of PLACES.
    """

    what: CutOut
    colour: str | None
    tint: str | None
    size: str | None
    place: str
    things: Sequence[Thing]

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.things)


def lay_out(choice: Sequence[CutOut], rng: np.random.Generator) -> list[Group]:
    """One to three groups of different kinds, mostly of one thing; fewer than there are kinds."""
    places = _places(len({what.kind for what in choice}) - 1, rng)
    whats = _different(choice, len(places), rng)
    return [_group(w, p, box, rng) for w, (p, box) in zip(whats, places.items(), strict=True)]


def _places(most: int, rng: np.random.Generator) -> Mapping[str, Box]:
    groups = min(weighted(_GROUPS, rng) + 1, most)
    if groups == 3:
        return pick((_ROW, _COLUMN), rng)
    pair = pick(_PAIRS, rng)
    names = pair if groups == 2 else (pick(PLACES, rng),)
    return {name: _ALONE[name] for name in names}


def _different(choice: Sequence[CutOut], count: int, rng: np.random.Generator) -> list[CutOut]:
    chosen: list[CutOut] = []
    for k in rng.permutation(len(choice)):
        if all(choice[k].kind != other.kind for other in chosen):
            chosen.append(choice[k])
        if len(chosen) == count:
            break
    return chosen


def _group(what: CutOut, place: str, box: Box, rng: np.random.Generator) -> Group:
    count = weighted(_COUNTS, rng) + 1
    tint = pick(tuple(COLOURS), rng) if not what.file or rng.random() < _TINTED else None
    cells = _cells(box, count)
    width, height = cut_out(what).size
    shape = (min(1.0, width / height), min(1.0, height / width))
    most = min((c[k + 2] - c[k]) / shape[k] for c in cells for k in (0, 1))
    size, extent = _extent(most, rng)
    return Group(
        what,
        tint or what.colour,
        tint,
        size,
        place,
        [_thing(cell, extent, shape, rng) for cell in cells],
    )


def _cells(box: Box, count: int) -> list[Box]:
    """The box cut into equal parts along its longer side."""
    left, top, right, bottom = box
    if right - left >= bottom - top:
        edges = np.linspace(left, right, count + 1).tolist()
        return [(a, top, b, bottom) for a, b in pairwise(edges)]
    edges = np.linspace(top, bottom, count + 1).tolist()
    return [(left, a, right, b) for a, b in pairwise(edges)]


def _extent(most: float, rng: np.random.Generator) -> tuple[str | None, float]:
    """A size that fits, and its name; neither small nor large has none."""
    sizes = [size for size in _SIZES if _EXTENTS[size][0] <= most]
    if not sizes:
        return "small", most
    size = pick(sizes, rng)
    low, high = _EXTENTS[size]
    return size, float(rng.uniform(low, min(high, most)))


def _thing(cell: Box, extent: float, shape: tuple[float, float], rng: np.random.Generator) -> Thing:
    x, y = (
        float(rng.uniform(min(a + half, (a + b) / 2), max(b - half, (a + b) / 2)))
        for a, b, half in (
            (cell[0], cell[2], extent * shape[0] / 2),
            (cell[1], cell[3], extent * shape[1] / 2),
        )
    )
    return Thing(x, y, extent, float(rng.uniform(-8, 8)), bool(rng.random() < 0.5))
