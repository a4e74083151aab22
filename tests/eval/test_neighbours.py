"""Radii and membership equal those of float64 differences, bit for bit."""

from typing import Literal

import numpy as np
import pytest

from beholder.eval import _neighbours
from beholder.eval._blocks import Rows, common_rows
from beholder.eval._features import Array
from beholder.eval._neighbours import Border, Pair, squared_radii
from tests.eval.neighbourhood import distances, manifold_sets, radii


def rows_of(values: Array) -> Rows:
    return common_rows(values, values)[0]


@pytest.mark.parametrize("offset", [0, 100, 1000])
@pytest.mark.parametrize("block", [7, 64, 1000])
def test_radii_are_those_of_all_pairs(offset: float, block: int) -> None:
    values, _ = manifold_sets(150, 1, 200, offset)
    found = squared_radii(rows_of(values), (3, 1, 5), block)
    for column, k in enumerate((3, 1, 5)):
        assert np.array_equal(found[:, column], radii(values, k))


def test_a_row_with_k_copies_has_radius_zero() -> None:
    values, _ = manifold_sets(40, 1, 50, 100)
    values[:6] = values[0]
    found = squared_radii(rows_of(values), (3, 5, 6), 16)
    assert (found[:6, :2] == 0).all()
    assert (found[:6, 2] > 0).all()
    assert np.array_equal(found[:, 2], radii(values, 6))


def test_with_as_many_rows_as_neighbours_and_one_the_radius_is_the_largest_distance() -> None:
    values, _ = manifold_sets(6, 1, 20)
    found = squared_radii(rows_of(values), (5,), 4)
    assert np.array_equal(found[:, 0], distances(values, values).max(axis=1))


@pytest.mark.parametrize("apart", [1e3, 1e5, 1e9])
def test_clusters_far_apart_for_their_width_are_told_apart_inside(apart: float) -> None:
    """There float32 products, and at last float64 products, cannot tell neighbours apart."""
    draws = np.random.default_rng(0)
    values = draws.normal(size=(90, 30)) + apart * draws.normal(size=(3, 30)).repeat(30, axis=0)
    found = squared_radii(rows_of(values), (3, 5), 50)
    assert np.array_equal(found[:, 0], radii(values, 3))
    assert np.array_equal(found[:, 1], radii(values, 5))


def test_rows_closer_than_float32_can_say_are_sorted_in_float64() -> None:
    values = np.random.default_rng(0).normal(size=(1, 40)) + 1e-7 * np.random.default_rng(1).normal(
        size=(70, 40)
    )
    assert np.array_equal(squared_radii(rows_of(values), (3,), 32)[:, 0], radii(values, 3))


@pytest.mark.parametrize("size", [1e-25, 1e15])
def test_very_small_and_very_large_features_have_neighbours_too(size: float) -> None:
    values = manifold_sets(60, 1, 20)[0].astype(np.float64) * size
    assert np.array_equal(squared_radii(rows_of(values), (3,), 32)[:, 0], radii(values, 3))


@pytest.mark.parametrize("border", ["closed", "open"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("apart", [0.0, 1e5])
def test_balls_hold_what_float64_says_also_on_their_border(
    border: Border, axis: Literal[0, 1], apart: float
) -> None:
    real, fake = manifold_sets(40, 30, 60, 1000, copies=4)
    far = apart * np.eye(60)[:1]
    real, fake = np.concatenate([real, real + far]), np.concatenate([fake, fake + far])
    first, second = common_rows(real, fake)
    all_pairs = distances(real, fake)
    # each ball ends at one of the rows of the other set: that one is on its border
    ends = all_pairs[:, 5] if axis == 0 else all_pairs[7]
    held = Pair(first, slice(10, 70), second, slice(2, 60), first.block(slice(10, 70))).inside(
        ends[10:70] if axis == 0 else ends[2:60], axis, border
    )
    wide = ends[:, None] if axis == 0 else ends[None]
    expected = all_pairs <= wide if border == "closed" else all_pairs < wide
    assert np.array_equal(held.numpy(), expected[10:70, 2:60])


def test_groups_of_columns_lose_no_small_value(monkeypatch: pytest.MonkeyPatch) -> None:
    values, _ = manifold_sets(256, 1, 20, seed=3)
    grouped = squared_radii(rows_of(values), (5,), 256)
    monkeypatch.setattr(_neighbours, "_GROUP", 10**6)
    assert np.array_equal(grouped, squared_radii(rows_of(values), (5,), 256))
