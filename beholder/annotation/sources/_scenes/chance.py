"""Choices from a generator of random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Value = TypeVar("Value")


def pick(values: Sequence[Value], rng: np.random.Generator) -> Value:
    """One of the values, each as likely."""
    return values[int(rng.integers(len(values)))]


def weighted(shares: Sequence[float], rng: np.random.Generator) -> int:
    """The place of one of the shares, which add up to 1, each as likely as it is large."""
    return int(rng.choice(len(shares), p=shares))
