"""The classes of Kinetics-400, in the order in which its classifiers give them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FILE = Path(__file__).parents[1] / "_data" / "kinetics400.txt"


@cache
def kinetics400() -> tuple[str, ...]:
    """The 400 names, alphabetical, as DeepMind, torchvision and Hara et al. number them."""
    return tuple(_FILE.read_text(encoding="utf-8").splitlines())


def classes_of(count: int) -> tuple[str, ...] | None:
    """The names of a classifier of so many classes, None unless they are those of Kinetics-400."""
    names = kinetics400()
    return names if count == len(names) else None
