import math

import numpy as np
import pytest

from beholder.annotation.trust.intervals import (
    Interval,
    bootstrap_mean,
    percentiles,
    plain,
    resampled,
    wilson,
)


def test_wilson_by_hand() -> None:
    """10 of 10: the low end is n / (n + z^2) = 10 / 13.8415."""
    assert wilson(1.0, 10).low == pytest.approx(10 / (10 + 1.959963984540054**2))
    assert wilson(1.0, 10).high == 1
    assert wilson(0.0, 10).low == 0
    assert math.isnan(wilson(math.nan, 0).value)


def test_a_bootstrap_sample_has_as_many_tasks() -> None:
    sampled = resampled(np.array([3, 0, 7]), 50, seed=0)
    assert sampled.shape == (50, 3)
    assert (sampled.sum(1) == 10).all()
    assert (sampled[:, 1] == 0).all()
    assert (sampled == resampled(np.array([3, 0, 7]), 50, seed=0)).all()


def test_percentiles_leave_out_what_is_not_finite() -> None:
    sampled = np.append(np.arange(101.0), math.nan)
    assert percentiles(7.0, sampled) == Interval(7.0, 2.5, 97.5)
    assert math.isnan(percentiles(7.0, np.array([math.nan])).low)


def test_the_bootstrap_of_a_mean_has_the_width_that_theory_gives() -> None:
    """400 fair coins: the standard error is 0.5 / 20 = 0.025."""
    found = bootstrap_mean([0.0, 1.0] * 200, draws=4000)
    assert found.value == 0.5
    assert found.low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.005)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.005)
    assert math.isnan(bootstrap_mean([]).value)


def test_plain_values_say_null_where_a_number_is_not_defined() -> None:
    assert plain({1: (math.nan, [math.inf, 2.0], "x")}) == {"1": [None, [None, 2.0], "x"]}
