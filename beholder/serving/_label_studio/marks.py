"""Where in a picture a heatmap says that people would mark a fault."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from beholder.serving.items import Map
from beholder.types import Point

MARKED = 0.5
"""What a map must reach: more annotators would mark the place than would not."""

MOST_POINTS = 10
_RADIUS = 1 / 20  # of the map's height, as RichHF draws one annotator's point

Grid = npt.NDArray[np.float64]


def points(of: Map) -> list[Point]:
    """The map's maxima, the highest first, in shares of the picture; at most `MOST_POINTS`.

    A place is a maximum of how much lies within a point's radius around it, so that the middle of
    an even spot is found and not its edge. Each clears two radii around it; only places that reach
    `MARKED` count.
    """
    values = np.frombuffer(of.data, "<f4").reshape(of.height, of.width).astype(np.float64)
    left = values >= MARKED
    radius = max(1, round(_RADIUS * of.height))
    mass = _around(values, radius) if left.any() else values
    found: list[Point] = []
    while left.any() and len(found) < MOST_POINTS:
        row, column = divmod(int(np.where(left, mass, -1.0).argmax()), of.width)
        found.append(Point((column + 0.5) / of.width, (row + 0.5) / of.height))
        _clear(left, row, column, 2 * radius)
    return found


def _around(values: Grid, radius: int) -> Grid:
    """The sum over the square of `radius` around each cell; nothing lies outside."""
    sums = np.pad(values, ((radius + 1, radius), (radius + 1, radius))).cumsum(0).cumsum(1)
    side = 2 * radius + 1
    below: Grid = sums[side:] - sums[:-side]
    total: Grid = below[:, side:] - below[:, :-side]
    return total


def _clear(left: npt.NDArray[np.bool_], row: int, column: int, radius: int) -> None:
    rows, columns = np.ogrid[: left.shape[0], : left.shape[1]]
    left[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = False
