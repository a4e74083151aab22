"""Several data sets in one stream: each batch holds every set's share, as nearly as it can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from math import lcm
from typing import Any, ClassVar, Literal

from beholder.errors import ConfigError
from beholder.training.epochs import shuffled
from beholder.training.learner import require

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
        shares: of each, adding up to 1.
    """

    sets: Sequence[Sequence[int]]
    shares: Sequence[Fraction]


class Turns:
    """Whose turn it is: after n turns each set had n times its share of them, less than 1 off.

    The chairman assignment problem (Tijdeman, 1980): turn k of a set with share f may come once
    n f > k and has to come while (n - 1) f < k + 1, counting turns from 0 and n from 1; of the sets
    that may, the one that has to come first is next. All numbers are exact, and the turns repeat
    once every share is a whole number of them.

    Args:
        shares: of each set, adding up to 1.
    """

    def __init__(self, shares: Sequence[Fraction]) -> None:
        self._period = lcm(*(share.denominator for share in shares))
        self._parts = [int(share * self._period) for share in shares]
        self._at, self._had = 0, [0] * len(shares)

    def had(self, turns: int) -> list[int]:
        """How many of the first `turns` each set has."""
        rounds, rest = divmod(turns, self._period)
        if rest < self._at:
            self._at, self._had = 0, [0] * len(self._parts)
        while self._at < rest:
            self._at += 1
            self._had[self._next()] += 1
        return [rounds * p + had for p, had in zip(self._parts, self._had, strict=True)]

    def _next(self) -> int:
        period = self._period
        may = [
            (-(-(had + 1) * period // part), k)
            for k, (part, had) in enumerate(zip(self._parts, self._had, strict=True))
            if part * self._at > had * period
        ]
        return min(may)[1]


class MixedEpochs:
    """Units of several sets in batches, each a pure function of its number and the seed.

    Every set is visited wholly, in an order of its own, before any of its units comes again.

    Args:
        sets: of each its groups of units, which stay close together; a unit is one or more rows.
        shares: of the units that come from each set, adding up to 1.
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
        mean = sum(s * Fraction(r, n) for s, r, n in zip(shares, rows, self._sizes, strict=True))
        self._units = max(1, round(size / mean))
        self._turns = Turns(shares)
        self._orders = [
            lru_cache(maxsize=2)(partial(_order, groups, seed, k)) for k, groups in enumerate(sets)
        ]
        self.batches = -(-sum(self._sizes) // self._units)

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
