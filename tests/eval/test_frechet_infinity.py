from __future__ import annotations

import numpy as np
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval._features import Features
from beholder.eval.frechet import from_features
from beholder.eval.frechet_infinity import _line, frechet_infinity
from beholder.eval.statistics import Statistics
from tests.eval.exact_frechet import ORIGIN

RNG = np.random.default_rng(6)


def test_it_is_closer_to_the_truth_than_the_distance_of_all_pictures() -> None:
    """Of N(0, I) and N(m, 2.25 I) in 40 dimensions: |m|² + 40 / 4."""
    truth = 40 * 0.01 + 40 * 0.25
    real = Statistics.of(RNG.normal(size=(20_000, 40)), ORIGIN)
    errors = []
    for seed in range(5):
        fake = 1.5 * RNG.normal(size=(1500, 40)) + 0.1
        found = frechet_infinity(real, fake, seed=seed)
        assert found.slope > 0
        errors.append((found.all_pictures - truth, found.value - truth))
    bias, rest = np.mean(errors, axis=0)
    assert bias > 0.3
    assert abs(rest) < 0.4 * bias


def test_sizes_lie_evenly_over_1_over_n_and_end_with_all() -> None:
    fake = RNG.normal(size=(1000, 5))
    found = frechet_infinity(RNG.normal(size=(500, 5)), Features(fake, ORIGIN))
    assert len(found.sizes) == len(found.distances) == 15
    assert (found.sizes[0], found.sizes[-1]) == (100, 1000)
    np.testing.assert_allclose(np.diff(1 / found.sizes), -(0.01 - 0.001) / 14, rtol=0.2)


def test_each_point_is_the_distance_of_a_nested_subset() -> None:
    real, fake = RNG.normal(size=(80, 30)), RNG.normal(size=(60, 30))
    found = frechet_infinity(real, fake, points=4, smallest=0.4, seed=7)
    order = np.random.default_rng(7).permutation(60)
    assert found.sizes.tolist() == [24, 30, 40, 60]  # few and many, on both sides of 30 values
    expected = [float(from_features(real, fake[order[:n]])) for n in found.sizes]
    np.testing.assert_allclose(found.distances, expected, rtol=1e-10)
    assert found.all_pictures == pytest.approx(expected[-1], rel=1e-10)
    again = frechet_infinity(real, fake, points=4, smallest=0.4, seed=8)
    assert again.value != found.value
    assert again.all_pictures == pytest.approx(float(found.all_pictures), rel=1e-10)


def test_the_line_equals_textbook_regression() -> None:
    x, y = np.array([0.1, 0.2, 0.4, 0.5]), np.array([1.0, 1.5, 2.0, 2.9])
    design = np.stack([np.ones(4), x], axis=1)
    (intercept, slope), (squares,), *_ = np.linalg.lstsq(design, y)
    error = np.sqrt(np.linalg.inv(design.T @ design)[0, 0] * squares / 2)
    assert _line(x, y) == pytest.approx((intercept, error, slope), rel=1e-12)


def test_settings_and_pictures_that_give_no_line_are_refused() -> None:
    fake = RNG.normal(size=(30, 3))
    with pytest.raises(ConfigError, match="3 or more points"):
        frechet_infinity(fake, fake, points=2)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        frechet_infinity(fake, fake, smallest=1.0)
    with pytest.raises(DataError, match="too few for 15 sizes"):
        frechet_infinity(fake, fake[:8])
