"""Intervals cover the truth as often as they say."""

import math

import numpy as np
import pytest

from beholder.errors import ConfigError
from beholder.eval import _bootstrap
from beholder.eval._bootstrap import Floats, Interval, percentile_interval, resampled_sums


def span(n: int) -> Floats:
    return np.array(range(n), dtype=np.float64)


def test_sums_redraw_as_many_groups_as_there_are() -> None:
    values = np.column_stack([np.ones(30), span(30)])
    sums = resampled_sums(values, 500, seed=0)
    assert sums.shape == (500, 2)
    assert (sums[:, 0] == 30).all()
    assert sums[:, 1].mean() == pytest.approx(np.arange(30).sum(), rel=0.02)
    # the variance of a redrawn sum is n times the variance of one value
    assert sums[:, 1].var() == pytest.approx(30 * np.arange(30).var(), rel=0.2)


def test_draws_repeat_with_their_seed_whatever_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = span(12)[:, None]
    whole = resampled_sums(values, 40, seed=3)
    monkeypatch.setattr(_bootstrap, "_CELLS", 36)
    assert np.array_equal(resampled_sums(values, 40, seed=3), whole)
    assert not np.array_equal(resampled_sums(values, 40, seed=4), whole)


def test_an_interval_is_the_central_part() -> None:
    found = percentile_interval(span(101), 0.9)
    assert (found.low, found.high) == pytest.approx((5, 95))
    assert percentile_interval(np.array([1.0, np.nan, 3.0]), 0.5) == Interval(1.5, 2.5)


def test_intervals_cover_the_mean_about_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        values = (generator.random(60) < 0.7).astype(np.float64)[:, None]
        samples = resampled_sums(values, 300, seed)[:, 0] / 60
        hits += percentile_interval(samples, 0.9).holds(0.7)
    assert 0.84 <= hits / 200 <= 0.96


def test_what_cannot_be_redrawn_is_unknown() -> None:
    nothing = percentile_interval(resampled_sums(np.zeros((0, 1)), 5, 0)[:, 0] * np.nan, 0.95)
    assert math.isnan(nothing.low)
    assert nothing.holds(0)


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="1 or more draws"):
        resampled_sums(np.ones((2, 1)), 0, 0)
    with pytest.raises(ConfigError, match=r"in \(0, 1\), got 95"):
        percentile_interval(np.ones(2), 95)
