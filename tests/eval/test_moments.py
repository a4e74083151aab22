from __future__ import annotations

import numpy as np
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval._features import Features
from beholder.eval._moments import (
    Moments,
    _congruent,
    check_ddof,
    coupling,
    moments,
    of_rows,
    of_statistics,
)
from beholder.eval.statistics import Statistics
from tests.eval.exact_frechet import ORIGIN

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_rows_have_the_covariance_of_the_features(offset: float) -> None:
    features = RNG.normal(size=(5, 9)) + offset
    found = of_rows(features, ddof=1)
    expected = np.cov(features, rowvar=False)
    assert found.matrix.shape == (4, 9)
    np.testing.assert_allclose(found.matrix.T @ found.matrix, expected, atol=1e-11)
    assert found.variance == pytest.approx(np.trace(expected), rel=1e-11)


def test_centring_leaves_no_singular_value_zero() -> None:
    features = RNG.normal(size=(40, 200))
    singular = np.linalg.svd(of_rows(features, ddof=1).matrix, compute_uv=False)
    assert singular.min() > 0.1


def test_features_are_kept_as_rows_where_they_are_few() -> None:
    few = moments(Features(RNG.normal(size=(6, 6)), ORIGIN), ddof=1)
    many = moments(RNG.normal(size=(7, 6)), ddof=1)
    assert (few.few, many.few) == (True, False)
    assert (few.matrix.shape, many.matrix.shape) == ((5, 6), (6, 6))


@pytest.mark.parametrize("step", [1.0, 10.0, 0.1])
def test_the_factor_of_a_covariance_gives_it_back_in_its_own_order(step: float) -> None:
    found = moments(RNG.normal(size=(30, 6)) * step ** np.arange(6), 1)
    assert (found.order is None) == (step == 1)
    if found.order is not None:
        assert (np.diff(np.diagonal(found.matrix)[found.order]) <= 0).all()
    np.testing.assert_allclose(found.factor.T @ found.factor, found.matrix, rtol=1e-9, atol=1e-16)


def test_triangular_products_equal_full_ones() -> None:
    size = 600  # more than one block
    lower, other = np.tril(RNG.normal(size=(size, size))), RNG.normal(size=(size, size))
    symmetric = other + other.T
    full = lower.T @ symmetric @ lower
    np.testing.assert_allclose(np.tril(_congruent(lower, symmetric)), np.tril(full), atol=1e-9)


def test_each_kind_of_sides_takes_its_branch() -> None:
    few, other = (moments(RNG.normal(size=(4, 8)), 1) for _ in range(2))
    full, whole = (moments(RNG.normal(size=(30, 8)), 1) for _ in range(2))
    thin = of_statistics(Statistics.of(RNG.normal(size=(4, 8)), ORIGIN), 1)
    assert coupling(few, other)[1:] == ("gram", 3)
    assert coupling(few, full)[1:] == ("gram", 3)
    assert coupling(full, whole)[1:] == ("cholesky", 8)
    assert coupling(full, thin)[1:] == ("eigh", 3)
    assert coupling(thin, few)[1:] == ("eigh", 3)


@pytest.mark.parametrize("rows", [5, 40])
def test_the_coupling_is_the_same_from_both_sides(rows: int) -> None:
    first, second = moments(RNG.normal(size=(rows, 8)), 1), moments(RNG.normal(size=(30, 8)), 1)
    assert coupling(first, second).trace == pytest.approx(coupling(second, first).trace, rel=1e-13)


def test_values_that_never_vary_are_left_out() -> None:
    features = RNG.normal(size=(30, 8))
    features[:, [0, 5]] = [0.0, 17.3]
    dead = moments(features, 1)
    assert dead.dead().tolist() == [True, False, False, False, False, True, False, False]
    live = moments(np.delete(features, [0, 5], axis=1), 1)
    other = RNG.normal(size=(30, 8))
    found = coupling(dead, moments(other, 1))
    expected = coupling(live, moments(np.delete(other, [0, 5], axis=1), 1))
    assert found[1:] == expected[1:] == ("cholesky", 6)
    assert found.trace == pytest.approx(expected.trace, rel=1e-13)
    constant = moments(np.ones((30, 8)), 1)
    assert coupling(constant, dead) == (0.0, "gram", 0)


def test_a_covariance_with_a_negative_eigenvalue_is_refused() -> None:
    wrong = np.full((3, 3), -0.9) + 1.9 * np.eye(3)  # each pair is possible, all three are not
    damaged = Moments(np.zeros(3), 3.0, wrong)
    with pytest.raises(DataError, match=r"eigenvalue -0.8 beside 1.9"):
        _ = damaged.factor


def test_ddof_is_0_or_1() -> None:
    check_ddof(0)
    with pytest.raises(ConfigError, match="got 2"):
        check_ddof(2)
