"""Two sides with features that need no network."""

import numpy as np

from beholder.eval._features import Array, Features
from beholder.eval._origin import Origin
from beholder.eval.measures._base import Measurement, Need, Side


def origin_of(need: Need) -> Origin:
    return Origin(
        extractor=need.extractor, weights="0" * 16, layer=need.layer, resize="tf1", decode="white"
    )


def side_of(name: str, need: Need, values: Array, *, keyed: bool = True) -> Side:
    keys = tuple(f"{name}-{row}" for row in range(len(values))) if keyed else ()
    return Side(name=name, features={need: Features(values, origin_of(need), keys)})


def positive(rows: int, width: int, seed: int, shift: float = 0.0) -> Array:
    """Features that are not negative, as those of Inception."""
    values = np.random.default_rng(seed).normal(0.5 + shift, 1, size=(rows, width))
    return np.maximum(values, 0).astype(np.float32)


def spread_of(found: Measurement) -> tuple[float, float, float]:
    """Lower end, value and upper end of a measurement that has them all."""
    assert found.low is not None
    assert found.value is not None
    assert found.high is not None
    return found.low, found.value, found.high
