"""What the pipeline's own pictures score before it is tuned: the scale of every reward."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Mean and standard deviation of scores of base pictures.

    Attributes:
        mean, std: of the reward that is learned from, as its views see the pictures.
        levels: noise level of each sampling step.
    """

    mean: float
    std: float
    levels: tuple[float, ...]
