"""How long items take, as it was measured of late."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Rewards = frozenset[str]

_MEMORY = 20.0  # seconds after which an answered item counts e times less
_KEPT_PACE = 0.75  # of what was measured before, at each pass


@dataclass(slots=True)
class _Pace:
    """Items, passes and seconds of what a reward has done of late."""

    items: float = 0.0
    passes: float = 0.0
    seconds: float = 0.0


class Rate:
    """How long items take, by what is answered and by what the workers tell of their passes.

    The first knows all that takes time, and only of items that somebody still waits for. The second
    goes on when everybody has given up waiting, which is when it matters most.

    Attributes:
        workers: that share the work.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._items = self._seconds = 0.0
        self._paces: dict[str, _Pace] = {}
        self.workers = 1

    def begin(self) -> None:
        """There is something to do from now on; the time before does not count."""
        self._last = self._clock()

    def done(self) -> None:
        """An item is done."""
        now = self._clock()
        passed, self._last = now - self._last, now
        kept = math.exp(-passed / _MEMORY)
        self._items = kept * self._items + 1
        self._seconds = kept * self._seconds + passed

    def passed(self, reward: str, items: int, seconds: float) -> None:
        """A worker has ended a pass of a reward over so many items."""
        pace = self._paces.setdefault(reward, _Pace())
        pace.items = _KEPT_PACE * pace.items + items
        pace.passes = _KEPT_PACE * pace.passes + 1
        pace.seconds = _KEPT_PACE * pace.seconds + seconds

    def seconds(self, items: float) -> float | None:
        """That so many items take, as they were answered; None while that is unknown."""
        return items * self._seconds / self._items if self._items else None

    def seconds_of(self, items: Mapping[Rewards, int]) -> float:
        """That so many items take in models, by the rewards that they are for; 0 if unknown."""
        each = (
            count * self._paces[reward].seconds / self._paces[reward].items
            for rewards, count in items.items()
            for reward in rewards
            if reward in self._paces
        )
        return sum(each) / max(1, self.workers)

    def seconds_of_pass(self, rewards: Rewards) -> float:
        """That a pass of each of them takes; 0 if unknown."""
        paces = [self._paces[reward] for reward in rewards if reward in self._paces]
        return sum(pace.seconds / pace.passes for pace in paces)
