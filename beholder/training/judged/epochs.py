"""The order in which rows are visited: endless, shuffled anew each epoch, the same for a seed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np

Unit = TypeVar("Unit")


class Epochs:
    """Rows in batches, each a pure function of its number and the seed; an epoch has each row once.

    Attributes:
        batches: in an epoch.
        visits: how often one row comes in a batch, on average.

    Args:
        groups: rows that stay together, in an order of their own.
        size: rows in a batch; the last one of an epoch may hold fewer.
        seed: of the order.
    """

    def __init__(self, groups: Sequence[Sequence[int]], size: int, seed: int) -> None:
        self._size = size
        self._order = lru_cache(maxsize=1)(lambda epoch: shuffled(groups, (seed, epoch)))
        self.batches = -(-sum(map(len, groups)) // size)
        self.visits = (1 / self.batches,)

    def rows(self, number: int) -> list[int]:
        """The rows of batch `number`, from 0."""
        epoch, place = divmod(number, self.batches)
        return self._order(epoch)[place * self._size : (place + 1) * self._size]


class WholeEpochs:
    """As `Epochs`, but of units of several rows, none of which is ever torn between batches.

    An epoch's rows in their order are cut into equal stretches, and a unit belongs to the stretch
    that holds its middle. So a batch has `size` rows, or as many as the largest unit has, give or
    take a unit.

    Args:
        groups: units that stay close together, in an order of their own.
        size: rows in a batch.
        seed: of the order.
    """

    def __init__(self, groups: Sequence[Sequence[Sequence[int]]], size: int, seed: int) -> None:
        lengths = [len(unit) for group in groups for unit in group]
        self._groups = groups
        self._rows = sum(lengths)
        self._seed = seed
        self._parts = lru_cache(maxsize=1)(self._parts_of)
        # Stretches at least as long as the longest unit: middles lie closer, so none is empty.
        self.batches = max(1, min(-(-self._rows // size), self._rows // max(lengths)))
        self.visits = (1 / self.batches,)

    def rows(self, number: int) -> list[int]:
        """The rows of batch `number`, from 0; those of a unit one after another."""
        epoch, place = divmod(number, self.batches)
        return self._parts(epoch)[place]

    def _parts_of(self, epoch: int) -> list[list[int]]:
        parts: list[list[int]] = [[] for _ in range(self.batches)]
        start = 0
        for unit in shuffled(self._groups, (self._seed, epoch)):
            twice_middle = 2 * start + len(unit)
            parts[twice_middle * self.batches // (2 * self._rows)] += unit
            start += len(unit)
        return parts


def shuffled(groups: Sequence[Sequence[Unit]], seed: Sequence[int]) -> list[Unit]:
    """The units of all groups, groups in a random order and the units of each in one, too."""
    random = np.random.default_rng(seed)
    order = [groups[k] for k in random.permutation(len(groups))]
    return [group[k] for group in order for k in random.permutation(len(group))]
