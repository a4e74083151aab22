from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from beholder.errors import ConfigError
from beholder.eval._jackknife import (
    Deleted,
    groups_of,
    groups_of_units,
    jackknife,
    student_t,
)

RNG = np.random.default_rng(2)


def deleted(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], groups: int) -> Deleted:
    dealt = groups_of(len(values), groups)
    means = np.array([np.delete(values, rows).mean() for rows in dealt])
    return Deleted(means, np.array([len(rows) for rows in dealt]))


def test_the_mean_has_its_textbook_standard_error_and_no_bias() -> None:
    values = RNG.normal(size=50)
    found = jackknife(float(values.mean()), [deleted(values, 50)])
    assert found.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(50), rel=1e-12)
    assert found.bias == pytest.approx(0, abs=1e-12)
    assert (found.low + found.high) / 2 == pytest.approx(values.mean())


def test_the_bias_of_a_variance_of_ddof_0_is_found_exactly() -> None:
    values = RNG.normal(size=30)
    left = np.array([np.delete(values, i).var() for i in range(30)])
    found = jackknife(float(values.var()), [Deleted(left, np.ones(30, dtype=np.int64))])
    assert values.var() - found.bias == pytest.approx(values.var(ddof=1), rel=1e-12)


def test_groups_of_different_sizes_leave_a_mean_unbiased() -> None:
    values = RNG.normal(size=23)
    found = jackknife(float(values.mean()), [deleted(values, 10)])
    assert found.bias == pytest.approx(0, abs=1e-12)
    assert found.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(23), rel=0.5)


def test_the_variances_of_two_sides_add_up() -> None:
    first, second = RNG.normal(size=40), 3 * RNG.normal(size=40)
    value = float(first.mean() - second.mean())
    left = deleted(first, 40)
    right = deleted(second, 40)
    sides = [
        Deleted(left.values - second.mean(), left.sizes),
        Deleted(first.mean() - right.values, right.sizes),
    ]
    expected = np.sqrt(first.var(ddof=1) / 40 + second.var(ddof=1) / 40)
    assert jackknife(value, sides).standard_error == pytest.approx(expected, rel=1e-12)


def test_intervals_of_few_groups_cover_as_often_as_they_say() -> None:
    inside = 0
    for _ in range(1000):
        values = RNG.normal(size=40)
        found = jackknife(float(values.mean()), [deleted(values, 10)])
        inside += found.low <= 0 <= found.high
    assert 0.93 < inside / 1000 < 0.97


def test_a_figure_that_never_changes_has_no_width() -> None:
    found = jackknife(2.0, [Deleted(np.full(5, 2.0), np.full(5, 3))])
    assert (found.standard_error, found.low, found.high) == (0, 2, 2)


def test_every_row_is_in_one_group() -> None:
    dealt = groups_of(23, 10, seed=4)
    assert sorted(np.concatenate(dealt).tolist()) == list(range(23))
    assert {len(rows) for rows in dealt} == {2, 3}
    assert [rows.tolist() for rows in groups_of(23, 10, seed=4)] == [r.tolist() for r in dealt]
    assert len(groups_of(3, 10)) == 3
    assert groups_of(23, 0) == groups_of(1, 10) == []
    with pytest.raises(ConfigError, match="got 1"):
        groups_of(23, 1)


def test_rows_of_one_unit_stay_together() -> None:
    units = ["b", "a", "b", "c", "a", "b", "d"]
    dealt = groups_of_units(units, 3)
    assert sorted(np.concatenate(dealt).tolist()) == list(range(7))
    for rows in dealt:
        inside = {units[row] for row in rows}
        assert all(
            units[row] not in inside for other in dealt if other is not rows for row in other
        )
    assert groups_of_units(["a"] * 5, 10) == []
    alone = [rows.tolist() for rows in groups_of_units(list("abcdefg"), 3, seed=2)]
    assert alone == [rows.tolist() for rows in groups_of(7, 3, seed=2)]


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.70620), (2, 4.30265), (3, 3.18245), (6, 2.44691), (9, 2.26216), (30, 2.04227)],
)
def test_students_t_equals_tables(freedom: float, expected: float) -> None:
    assert student_t(0.975, freedom) == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("probability", [0.5, 0.6, 0.975, 0.995, 0.025])
def test_students_t_of_one_and_two_degrees_has_a_closed_form(probability: float) -> None:
    one = math.tan(math.pi * (probability - 0.5))
    assert student_t(probability, 1) == pytest.approx(one, rel=1e-12, abs=1e-15)
    spread = 2 * probability * (1 - probability)
    two = (2 * probability - 1) / math.sqrt(spread)
    assert student_t(probability, 2) == pytest.approx(two, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("freedom", [1.1, 1.5, 2.7, 8.4, 99.5, 1e4])
def test_students_t_of_broken_degrees_has_its_probability(freedom: float) -> None:
    share = freedom / (freedom + student_t(0.975, freedom) ** 2)
    beyond = mpmath.betainc(freedom / 2, 0.5, 0, share, regularized=True) / 2
    assert float(beyond) == pytest.approx(0.025, rel=1e-8)
