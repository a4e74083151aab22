"""Sides that take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

Seconds = dict[str, list[float]]
"""Side -> what each of its rounds took."""


def interleaved(
    sides: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> Seconds:
    """CPU seconds of each side, round by round; nothing is warmed up first."""
    found: Seconds = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            start = clock()
            run()
            found[name].append(clock() - start)
    return found
