"""The rows nearest to where a filter cut: some that it just kept, and some that it just dropped."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from beholder.eval._filter.statistics import Floats, Rows


@dataclass(slots=True)
class Nearest:
    """The rows with the least distance of all that were offered; equal ones in their order.

    Attributes:
        most: how many are remembered.
        rows, values, distances: of those, the nearest first.
    """

    most: int
    rows: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    values: Floats = field(default_factory=lambda: np.empty(0))
    distances: Floats = field(default_factory=lambda: np.empty(0))

    def offer(self, rows: Rows, values: Floats, distances: npt.NDArray[np.float64]) -> None:
        """Take those of further rows that are nearer than what is remembered."""
        if len(rows) > self.most:
            near = np.argsort(distances, kind="stable")[: self.most]
            rows, values, distances = rows[near], values[near], distances[near]
        together = np.concatenate([self.distances, distances])
        best = np.argsort(together, kind="stable")[: self.most]
        self.rows = np.concatenate([self.rows, rows])[best]
        self.values = np.concatenate([self.values, values])[best]
        self.distances = together[best]
