"""Drawn things that stand in for photographs: plain shapes, shaded like a relief."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageDraw

Corners = Sequence[tuple[float, float]]

_SIDE = 160
_FINER = 4


def _around(count: int, *radii: float, turn: float = -math.pi / 2) -> Corners:
    angles = [turn + 2 * math.pi * k / count for k in range(count)]
    return [
        (radii[k % len(radii)] * math.cos(a), radii[k % len(radii)] * math.sin(a))
        for k, a in enumerate(angles)
    ]


def _curve(x: Sequence[float], y: Sequence[float]) -> Corners:
    return list(zip(x, y, strict=True))


_TURNS = [2 * math.pi * k / 96 for k in range(96)]

SHAPES: Mapping[str, Corners] = MappingProxyType(
    {
        "circle": _around(96, 1.0),
        "square": _around(4, 1.0, turn=math.pi / 4),
        "triangle": _around(3, 1.0),
        "diamond": [(0, -1), (0.6, 0), (0, 1), (-0.6, 0)],
        "pentagon": _around(5, 1.0),
        "hexagon": _around(6, 1.0, turn=0),
        "star": _around(10, 1.0, 0.42),
        "sun": _around(32, 1.0, 0.72),
        "flower": _curve(
            [math.cos(t) * (0.7 + 0.3 * math.cos(6 * t)) for t in _TURNS],
            [math.sin(t) * (0.7 + 0.3 * math.cos(6 * t)) for t in _TURNS],
        ),
        "heart": _curve(
            [math.sin(t) ** 3 for t in _TURNS],
            [
                -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t))
                / 17
                for t in _TURNS
            ],
        ),
        "cross": [
            (sign_x * x, sign_y * y)
            for sign_x, sign_y, corners in (
                (1, -1, ((0.33, 1), (0.33, 0.33), (1, 0.33))),
                (1, 1, ((1, 0.33), (0.33, 0.33), (0.33, 1))),
                (-1, 1, ((0.33, 1), (0.33, 0.33), (1, 0.33))),
                (-1, -1, ((1, 0.33), (0.33, 0.33), (0.33, 1))),
            )
            for x, y in corners
        ],
        "arrow": [(-1, -0.3), (0.1, -0.3), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.3), (-1, 0.3)],
        "house": [(-0.8, 1), (-0.8, -0.1), (-1, -0.1), (0, -1), (1, -0.1), (0.8, -0.1), (0.8, 1)],
        "lightning bolt": [
            (0.1, -1),
            (-0.6, 0.2),
            (-0.05, 0.2),
            (-0.3, 1),
            (0.6, -0.25),
            (0, -0.25),
            (0.5, -1),
        ],
        "drop": _curve(
            [0.7 * math.sin(t) * math.sin(t / 2) ** 1.5 for t in _TURNS],
            [-math.cos(t) for t in _TURNS],
        ),
        "crescent": _curve(
            [math.cos(t) for t in _TURNS[12:85]]
            + [0.25 + 0.8 * math.cos(t) for t in _TURNS[84:11:-1]],
            [math.sin(t) for t in _TURNS[12:85]] + [0.8 * math.sin(t) for t in _TURNS[84:11:-1]],
        ),
    }
)
"""Name -> corners around (0, 0) inside the unit square."""


def drawn(shape: str) -> Image.Image:
    """The shape in RGBA: grey, lighter at the top left, with a dark rim."""
    side = _SIDE * _FINER
    mask = Image.new("L", (side, side))
    corners = [((1 + 0.94 * x) * side / 2, (1 + 0.94 * y) * side / 2) for x, y in SHAPES[shape]]
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    mask = mask.reduce(_FINER)
    y, x = np.mgrid[0:_SIDE, 0:_SIDE] / _SIDE
    grey = np.asarray(190 - 90 * (x + y) / 2 + 14 * np.sin(28 * (x - y)), dtype=np.uint8)
    picture = Image.merge("RGBA", (*[Image.fromarray(grey)] * 3, mask))
    return picture.crop(mask.getbbox())
