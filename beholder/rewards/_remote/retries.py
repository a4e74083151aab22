"""When to ask again: what may pass, how long to wait, when to give up."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from beholder.errors import ConfigError

PASSING = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may succeed."""

_ANYWHERE = random.SystemRandom()  # neither a training run's numbers, nor the same after a fork


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Back-off with full jitter, bounded in total.

    Attributes:
        patience: seconds after which nothing is tried again.
        absent: the same for a server that cannot be connected to.
        first: seconds that the first pause lasts at most; each next one twice as many.
        most: seconds that a pause lasts at most, beside what the server asks for.
    """

    patience: float = 300.0
    absent: float = math.inf
    first: float = 0.1
    most: float = 10.0

    def __post_init__(self) -> None:
        if not self.patience >= 0:
            raise ConfigError(f"patience must be 0 seconds or more, got {self.patience}")

    def pause(
        self,
        tries: int,
        retry_after: float | None = None,
        draw: Callable[[float, float], float] = _ANYWHERE.uniform,
    ) -> float:
        """Seconds to wait after so many tries (from 1), never less than the server asked for."""
        longest = min(self.most, self.first * 2.0 ** min(tries - 1, 30))
        return (retry_after or 0.0) + draw(0.0, longest)

    def is_over(self, seconds: float, *, absent: bool = False) -> bool:
        """Whether a try that would begin after so many seconds in all is one too many."""
        return seconds > self.limit(absent=absent)

    def limit(self, *, absent: bool = False) -> float:
        """Seconds that are waited at most, for a server that is there or for one that is not."""
        return min(self.absent, self.patience) if absent else self.patience


def retry_after(header: str | None, now: Callable[[], datetime] | None = None) -> float | None:
    """Seconds of a Retry-After, a number or a date; None if it says nothing that can be read."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError):
        return None
    present = now() if now else datetime.now(UTC)
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - present).total_seconds())
