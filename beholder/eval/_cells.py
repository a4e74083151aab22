"""Cells of like rows: spherical k-means, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beholder.eval._unit_rows import Array, Places, UnitRows

_ROUNDS = 10
_ROWS_A_CELL = 64  # that centres are learned from
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Cells:
    """Centres (k, d) of length 1, or of length 0 where nothing lies."""

    centres: Array

    def nearest(self, rows: Array, probes: int) -> Places:
        """The `probes` nearest cells of each row, nearest first, (b, probes)."""
        products = rows @ self.centres.T
        probes = min(probes, len(self.centres))
        some = np.argpartition(-products, probes - 1, axis=1)[:, :probes]
        order = np.argsort(-np.take_along_axis(products, some, axis=1), axis=1, kind="stable")
        return np.take_along_axis(some, order, axis=1).astype(np.int64)


def one_cell(width: int) -> Cells:
    """The cell in which everything lies."""
    return Cells(np.zeros((1, width), np.float32))


def cells_of(rows: UnitRows, count: int, seed: int) -> Cells:
    """About `count` cells of the known rows, learned from a sample of them (Lloyd, 1982).

    A cell that loses all its rows keeps its centre.
    """
    rng = np.random.default_rng(seed)
    size = min(len(rows.known), count * _ROWS_A_CELL)
    places = np.sort(rng.choice(rows.known, size, replace=False))
    sample = np.ascontiguousarray(rows.values[places])
    centres = sample[np.sort(rng.choice(size, min(count, size), replace=False))]
    for _ in range(_ROUNDS):
        centres = _moved(sample, Cells(centres))
    return Cells(centres)


def _moved(sample: Array, cells: Cells) -> Array:
    """The centres as directions of the sums of their rows."""
    sums = np.zeros(cells.centres.shape, np.float64)
    for at in range(0, len(sample), _BLOCK):
        part = sample[at : at + _BLOCK]
        np.add.at(sums, cells.nearest(part, 1)[:, 0], part.astype(np.float64))
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    moved = np.where(lengths > 0, sums / np.maximum(lengths, 1e-30), cells.centres)
    return moved.astype(np.float32)
