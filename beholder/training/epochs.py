"""The order in which rows are visited: endless, shuffled anew each epoch, the same for a seed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np


class Epochs:
    """Rows in batches, each a pure function of its number and the seed; an epoch has each row once.

    Args:
        groups: rows that stay together, in an order of their own.
        size: rows in a batch; the last one of an epoch may hold fewer.
        seed: of the order.
    """

    def __init__(self, groups: Sequence[Sequence[int]], size: int, seed: int) -> None:
        self._groups = groups
        self._size = size
        self._seed = seed
        self._order = lru_cache(maxsize=1)(self._order_of)
        self.batches = -(-sum(map(len, groups)) // size)

    def rows(self, number: int) -> list[int]:
        """The rows of batch `number`, from 0."""
        epoch, place = divmod(number, self.batches)
        return self._order(epoch)[place * self._size : (place + 1) * self._size]

    def _order_of(self, epoch: int) -> list[int]:
        random = np.random.default_rng([self._seed, epoch])
        groups = [self._groups[k] for k in random.permutation(len(self._groups))]
        return [int(k) for group in groups for k in random.permutation(group)]
