"""Sides of made-up features, with or without the features themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from beholder.eval._features import Array, Features
from beholder.eval.measures._base import Need, Side
from beholder.eval.statistics import Statistics
from tests.eval.exact_frechet import ORIGIN


def rows(seed: int, count: int, dims: int = 6, mean: float = 0.0) -> Array:
    return np.random.default_rng(seed).normal(size=(count, dims)) + mean


def side(name: str, need: Need, values: Array) -> Side:
    return Side(name=name, features={need: Features(values, replace(ORIGIN, layer=need.layer))})


def sums_only(name: str, need: Need, values: Array) -> Side:
    origin = replace(ORIGIN, layer=need.layer)
    return Side(name=name, statistics={need: Statistics.of(values, origin)})
