"""Why an annotator should be looked at."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from beholder.annotation.trust.intervals import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A share of one annotator and where doubt begins.

    Attributes:
        what: the share in words.
        found: the share with its 95 % interval.
        least, most: the whole interval must lie below `least` or above `most` to raise a doubt.
    """

    what: str
    found: Interval
    least: float = -math.inf
    most: float = math.inf


def doubts(checks: Iterable[Check]) -> tuple[str, ...]:
    """A sentence for each check that raises a doubt; a share that is undefined raises none."""
    return tuple(sentence for sentence in map(_sentence, checks) if sentence)


def _sentence(check: Check) -> str:
    found = check.found
    value = f"{check.what} {found.value:.0%} ({found.low:.0%} to {found.high:.0%})"
    if found.high < check.least:
        return f"{value}, expected at least {check.least:.0%}"
    return f"{value}, expected at most {check.most:.0%}" if found.low > check.most else ""
