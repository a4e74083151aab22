"""Ratios of sums, their intervals, and the reasons for none."""

import math

import numpy as np
import pytest

from beholder.errors import ConfigError
from beholder.eval._estimate import Ratio, estimate, estimates, mean_of


def test_a_ratio_adds_up_before_it_divides() -> None:
    ratio = Ratio(np.array([1.0, 0.0, 2.0]), np.array([1.0, 0.0, 4.0]), "")
    found = estimates({"rate": ratio}, draws=50, seed=0)["rate"]
    assert found.value == pytest.approx(3 / 5)
    assert found.samples == 2
    assert found.low is not None
    assert found.high is not None
    assert 0.5 <= found.low <= 0.6 <= found.high <= 1


def test_a_mean_leaves_out_what_is_not_chosen_or_not_defined() -> None:
    ratio = mean_of(np.array([1.0, 3.0, math.nan, 9.0]), np.array([1.0, 1.0, 1.0, 0.0]), "")
    found = estimates({"mean": ratio}, draws=10, seed=0)["mean"]
    assert (found.value, found.samples) == (2.0, 2)


def test_a_mean_of_nothing_is_no_number_but_a_reason() -> None:
    ratio = mean_of(np.array([1.0]), np.array([0.0]), "none is chosen")
    found = estimates({"mean": ratio}, draws=10, seed=0)["mean"]
    assert found.as_dict() == {
        "value": None,
        "low": None,
        "high": None,
        "samples": 0,
        "why": "none is chosen",
    }


def test_the_interval_of_a_mean_is_close_to_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(size=400)
    found = estimates({"mean": mean_of(values, np.ones(400), "")}, draws=4000, seed=1)["mean"]
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.01)
    assert found.high == pytest.approx(values.mean() + half, abs=0.01)


def test_redrawn_values_that_are_all_undefined_give_no_interval() -> None:
    found = estimate(0.5, np.array([math.nan, math.nan]), 2, "")
    assert (found.value, found.low, found.high) == (0.5, None, None)


def test_no_draw_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 or more draws"):
        estimates({"mean": mean_of(np.ones(2), np.ones(2), "")}, draws=0, seed=0)
