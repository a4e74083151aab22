"""Several data sets in one stream: each batch holds every set's share, as nearly as it can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from heapq import heapify, heappop, heappush
from itertools import count
from math import ceil, floor
from typing import Any, ClassVar, Literal

from beholder.errors import ConfigError
from beholder.training.fit.learner import require
from beholder.training.judged.epochs import shuffled

Balance = Literal["size", "equal"]
"""How much of each set is seen where no shares are given: as it has pairs, or all alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One of several data sets.

    Attributes:
        preferences: folder that `annotation.dataset.write_preferences` wrote.
        share: of what is seen, beside the other sets' shares; None leaves it to `balance`.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    preferences: str
    share: float | None = None

    def __post_init__(self) -> None:
        if self.share is not None:
            require("share", self.share, above=0)


def shares(
    sources: Mapping[str, Source], sizes: Mapping[str, int], balance: Balance
) -> list[Fraction]:
    """The share of each set of `sizes` (set -> what it holds), in its order; they add up to 1."""
    weights = [_weight(sources[name], size, balance) for name, size in sizes.items()]
    return [weight / sum(weights) for weight in weights]


def check_sources(sources: Mapping[str, Source], balance: Balance) -> None:
    """Raise ConfigError if some sets have a share and others none, or `balance` contradicts."""
    if slashed := [name for name in sources if "/" in name]:
        raise ConfigError(
            f"mix: the name {slashed[0]!r} holds a slash; keys of pairs put one there"
        )
    if not sources and balance == "equal":
        raise ConfigError("balance is 'equal', which needs several data sets in mix")
    given = [name for name, source in sources.items() if source.share is not None]
    without = [name for name in sources if name not in given]
    if given and without:
        raise ConfigError(
            f"mix: {', '.join(given)} have a share and {', '.join(without)} none; "
            "give one to each or to none"
        )
    if given and balance == "equal":
        raise ConfigError("balance is 'equal', but the sets of mix have shares; leave one out")


@dataclass(frozen=True, slots=True)
class Mixture:
    """Which rows belong to which set, and each set's share.

    Attributes:
        sets: rows of each.
        shares: of the rows that come from each, adding up to 1.
    """

    sets: Sequence[Sequence[int]]
    shares: Sequence[Fraction]


@dataclass(frozen=True, slots=True)
class _Fork:
    """Two groups of sets, each a fork or a set's number, and the first one's share of both."""

    one: _Fork | int
    other: _Fork | int
    share: Fraction


class Turns:
    """Whose turn it is: after n turns each set had n times its share of them, or nearly so.

    The sets are the leaves of a Huffman tree of their shares (Huffman, 1952). Of the n turns that
    come to a fork, its first branch, with share g of them, has floor(n g + 1/2), and the second the
    others; one turn more goes down one branch, so what a set had never shrinks. A fork adds at most
    1/2 to the error e that it hands down as g e, and below the top g <= 2/3 where it leads to
    another fork. So up to three sets are less than 1 off, and any number less than 2. All numbers
    are exact, and none is remembered.

    Args:
        shares: of each set, above 0 and adding up to 1.
    """

    def __init__(self, shares: Sequence[Fraction]) -> None:
        self._count = len(shares)
        self._tree = _tree(shares)

    def had(self, turns: int) -> list[int]:
        """How many of the first `turns` each set has."""
        found = [0] * self._count
        left: list[tuple[_Fork | int, int]] = [(self._tree, turns)]
        while left:
            node, mine = left.pop()
            if isinstance(node, int):
                found[node] = mine
            else:
                first = floor(mine * node.share + Fraction(1, 2))
                left += [(node.one, first), (node.other, mine - first)]
        return found


def _tree(shares: Sequence[Fraction]) -> _Fork | int:
    heap: list[tuple[Fraction, int, _Fork | int]] = [(s, k, k) for k, s in enumerate(shares)]
    heapify(heap)
    number = count(len(heap))  # so that nodes themselves are never compared
    while len(heap) > 1:
        (lighter, _, one), (heavier, _, other) = heappop(heap), heappop(heap)
        both = lighter + heavier
        heappush(heap, (both, next(number), _Fork(one, other, lighter / both)))
    return heap[0][2]


class MixedEpochs:
    """Units of several sets in batches, each a pure function of its number and the seed.

    Every set is visited wholly, in an order of its own, before any of its units comes again.

    Attributes:
        batches: that hold as many rows as all sets together, which is called an epoch; a set with
            more than its size's share is seen more than once in it, and one with less in part.
        visits: of each set, how often one row comes in a batch, on average.

    Args:
        sets: of each its groups of units, which stay close together; a unit is one or more rows.
        shares: of the rows that come from each set, adding up to 1. Units are dealt out by shares
            over their mean length, so a set of long rankings has fewer, larger turns.
        size: rows in a batch; met on average where units have several rows.
        seed: of the orders.
    """

    def __init__(
        self,
        sets: Sequence[Sequence[Sequence[Sequence[int]]]],
        shares: Sequence[Fraction],
        size: int,
        seed: int,
    ) -> None:
        rows = [sum(len(unit) for group in groups for unit in group) for groups in sets]
        self._sizes = [sum(map(len, groups)) for groups in sets]
        by_row = zip(shares, self._sizes, rows, strict=True)
        turns = [share * Fraction(units, mine) for share, units, mine in by_row]
        self._units = max(1, round(size * sum(turns)))
        of_units = [turn / sum(turns) for turn in turns]
        self._turns = Turns(of_units)
        self._orders = [
            lru_cache(maxsize=2)(partial(_order, groups, seed, k)) for k, groups in enumerate(sets)
        ]
        self.batches = ceil(sum(rows) * sum(turns) / self._units)
        per_batch = zip(of_units, self._sizes, strict=True)
        self.visits = tuple(float(self._units * share / units) for share, units in per_batch)

    def rows(self, number: int) -> list[int]:
        """The rows of batch `number`, from 0, set by set."""
        start, end = (self._turns.had(k * self._units) for k in (number, number + 1))
        return [
            row
            for k, (first, stop) in enumerate(zip(start, end, strict=True))
            for place in range(first, stop)
            for row in self._unit(k, place)
        ]

    def _unit(self, source: int, place: int) -> Sequence[int]:
        epoch, at = divmod(place, self._sizes[source])
        return self._orders[source](epoch)[at]


def _order(
    groups: Sequence[Sequence[Sequence[int]]], seed: int, source: int, epoch: int
) -> list[Sequence[int]]:
    return shuffled(groups, (seed, epoch, source))


def _weight(source: Source, size: int, balance: Balance) -> Fraction:
    if source.share is not None:
        return Fraction(str(source.share))  # the decimal as it was written, not its binary nearest
    return Fraction(size if balance == "size" else 1)
