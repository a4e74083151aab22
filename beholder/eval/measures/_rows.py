"""What the metrics of single rows share: their sides, and values by key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from beholder.errors import DataError
from beholder.eval._features import Features
from beholder.eval._jackknife import Jackknife
from beholder.eval.kernel import Discrepancy
from beholder.eval.measures._base import Need, Side
from beholder.eval.measures._frechet import jackknife_text


def by_key(features: Features, values: npt.NDArray[np.float64]) -> dict[str, float]:
    """The value of each row that is known, by its key; empty where the rows have no keys."""
    if not features.keys:
        return {}
    return {
        key: float(value)
        for key, value in zip(features.keys, values, strict=True)
        if np.isfinite(value)
    }


def inception(layer: str, resize: str) -> Need:
    """Features of the 2015 Inception network."""
    return Need(extractor="inception", layer=layer, settings=(("resize", resize),))


def present(real: Side | None, metric: str) -> Side:
    """The real side of a metric that compares with one; DataError if there is none."""
    if real is None:
        raise DataError(f"{metric} compares with real pictures, but none were given")
    return real


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """An interval as a measurement says it; all empty where there is none."""

    low: float | None = None
    high: float | None = None
    interval: str = ""
    details: Mapping[str, object] = field(default_factory=dict)


def ends_of(sure: Jackknife | None, text: str, least: float = -math.inf) -> Ends:
    """The interval of a jackknife, made as `text` says, cut off at the least value that can be."""
    if sure is None:
        return Ends()
    return Ends(
        low=max(least, sure.low),
        high=sure.high,
        interval=text,
        details={"standard_error": sure.standard_error, "bias": sure.bias},
    )


def jackknife_of(found: Discrepancy) -> str:
    """How the interval of a discrepancy was made."""
    real, fake = found.groups
    return jackknife_text({"real": real, "fake": fake})
