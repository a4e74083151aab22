"""Ranges of settings: what is out of them is refused before any picture is read."""

from __future__ import annotations

import math
from collections.abc import Sequence

from beholder.errors import ConfigError


def at_least(least: int, **values: int) -> None:
    """Raise ConfigError naming the first of the settings below `least`."""
    for name, value in values.items():
        if value < least:
            raise ConfigError(f"{name} must be {least} or more, got {value}")


def positive(**values: float) -> None:
    """Raise ConfigError naming the first of the settings that is not finite and above 0."""
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ConfigError(f"{name} must be a finite number above 0, got {value}")


def one_of(known: Sequence[str], **values: str) -> None:
    """Raise ConfigError naming the first of the settings that is none of `known`."""
    for name, value in values.items():
        if value not in known:
            raise ConfigError(f"{name} must be one of {', '.join(known)}; got {value!r}")


def check_groups(groups: int) -> None:
    """Raise ConfigError for a jackknife of a negative number of groups, or of a single one."""
    if groups < 0 or groups == 1:
        raise ConfigError(f"groups must be 0 or 2 or more, got {groups}")


def check_clips(frames: int, stride: int, clips: str) -> None:
    """Raise ConfigError if no video can be cut so; "spread" takes frames without a stride."""
    at_least(1, frames=frames, stride=stride)
    if clips == "spread" and stride != 1:
        raise ConfigError(
            f'stride must be 1 with clips="spread", which divides a video evenly; got {stride}'
        )
