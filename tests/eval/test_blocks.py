"""Distances from blocks stay inside their error bound, at every offset."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from beholder.errors import ConfigError, DataError
from beholder.eval import _blocks
from beholder.eval._blocks import (
    Floats,
    Places,
    Rows,
    checked,
    checked_block,
    checked_pair,
    common_rows,
    exact_distances,
    exact_products,
    products,
    spans,
    squared_distances,
)
from beholder.eval._features import Array


def drawn(rows: int, width: int, seed: int, offset: float = 0.0) -> Array:
    values = np.random.default_rng(seed).normal(size=(rows, width)) + offset
    return values.astype(np.float32)


def all_distances(first: Array, second: Array) -> Floats:
    wide = first.astype(np.float64)[:, None] - second.astype(np.float64)[None]
    squared: Floats = np.square(wide).sum(axis=2)
    return squared


@pytest.mark.parametrize("offset", [0, 10, 100, 1000, 1e5])
def test_distances_of_blocks_are_off_by_less_than_the_slack_of_both_rows(offset: float) -> None:
    x, y = drawn(60, 300, 0, offset), drawn(50, 300, 1, offset)
    first, second = common_rows(x, y)
    for dtype in (torch.float32, torch.float64):
        left, right = first.block(slice(0, 60), dtype), second.block(slice(0, 50), dtype)
        found = squared_distances(left, right, (left * left).sum(1), (right * right).sum(1))
        error = np.abs(found.double().numpy() - all_distances(x, y))
        bound = first.slack(dtype)[:, None] + second.slack(dtype)[None]
        assert (error < bound).all()
        assert (bound < 1e-3 * all_distances(x, y)).all()


def test_the_common_centre_is_the_mean_of_both_sets_and_no_copy_of_them() -> None:
    x, y = drawn(30, 5, 0, 100), drawn(10, 5, 1, 100).astype(np.float64)
    first, second = common_rows(x, y)
    assert first.centre == pytest.approx(np.concatenate([x, y]).mean(axis=0), rel=1e-6)
    moved = np.concatenate([rows.block(slice(0, rows.size)).numpy() for rows in (first, second)])
    assert np.abs(moved.mean(axis=0)).max() < 1e-5
    assert first.norms == pytest.approx(np.square(moved[:30]).sum(axis=1), rel=1e-6)


def test_equal_rows_have_distance_zero_and_a_pair_the_same_one_in_any_set() -> None:
    x = drawn(5, 2048, 0, 1000)
    y = np.concatenate([x[3:], drawn(4, 2048, 1, 1000)])
    first, second = common_rows(x, y)
    i, j = np.array([3, 4, 0]), np.array([0, 1, 0])
    across = exact_distances(first, i, second, j)
    assert across[:2].tolist() == [0, 0]
    assert across[2] == exact_distances(first, np.array([0]), first, np.array([3]))[0]
    assert len(exact_distances(first, np.zeros(0, np.int64), second, np.zeros(0, np.int64))) == 0


def test_copies_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = drawn(9, 4, 0).repeat(40, axis=0), drawn(6, 4, 1).repeat(50, axis=0)
    x[17] = -0.0
    y[3] = 0.0
    first, second = common_rows(x, y)
    i, j = (np.ascontiguousarray(axis.ravel()) for axis in np.indices((360, 300)))
    assert len(i) > _blocks._MANY
    read: list[int] = []
    raw = Rows.raw

    def counted(rows: Rows, places: Places) -> Floats:
        read.append(len(places))
        return raw(rows, places)

    monkeypatch.setattr(Rows, "raw", counted)
    found = exact_distances(first, i, second, j)
    assert np.array_equal(found, all_distances(x, y).ravel())
    assert sum(read) == 360 + 300 + 2 * 10 * 7
    assert first.originals[[0, 39, 40, 17, 18]].tolist() == [0, 0, 40, 17, 0]


def test_tensors_of_other_devices_come_in_the_same_blocks_as_arrays() -> None:
    """Tensors stay where they are; here the branch is taken with those of the CPU."""
    x, y = drawn(20, 6, 0, 50), drawn(15, 6, 1, 50)
    arrays, tensors = common_rows(x, y), common_rows(torch.from_numpy(x), torch.from_numpy(y))
    for one, other in zip(arrays, tensors, strict=True):
        assert np.array_equal(one.centre, other.centre)
        assert np.array_equal(one.norms, other.norms)
        for dtype in (torch.float32, torch.float64):
            assert torch.equal(one.block(slice(2, 9), dtype), other.block(slice(2, 9), dtype))
        assert np.array_equal(one.raw(np.array([3, 1])), other.raw(np.array([3, 1])))


def test_products_of_a_block_with_itself_are_the_same_as_with_a_copy() -> None:
    x = torch.from_numpy(drawn(40, 30, 0))
    assert torch.allclose(products(x, x), products(x, x.clone()), atol=1e-5)


def test_features_so_long_that_float32_cannot_hold_their_distances_are_refused() -> None:
    with pytest.raises(DataError, match=r"divide them all by one number"):
        common_rows(np.array([[1e25, 0.0], [0.0, 0.0]]), np.zeros((2, 2)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_memory_maps_and_arrays_of_any_float_give_the_same_blocks(
    tmp_path: Path, dtype: type
) -> None:
    values: Array = drawn(20, 6, 0, 3).astype(dtype)
    np.save(tmp_path / "x.npy", values)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = common_rows(checked(mapped, "x"), checked(torch.from_numpy(values), "x"))
        assert torch.equal(first.block(slice(3, 9)), second.block(slice(3, 9)))
    places = np.array([4, 2])
    assert first.raw(places).dtype == np.float64
    assert first.chosen(places).numpy() == pytest.approx(
        values[places].astype(np.float64) - first.centre, abs=1e-12
    )


def test_bfloat16_is_taken_as_the_numbers_that_it_holds() -> None:
    values = torch.randn(5, 4).bfloat16()
    assert np.array_equal(checked(values, "x"), values.float().numpy())


def test_pairs_that_do_not_fit_are_refused_with_the_name_of_the_side() -> None:
    good, names = drawn(4, 3, 0), ("real", "fake")
    with pytest.raises(DataError, match=r"real has 3 values a row but fake has 2"):
        checked_pair(good, good[:, :2], names)
    with pytest.raises(DataError, match=r"fake has NaN .* the first is row 1"):
        checked_pair(good, np.where(np.arange(4)[:, None] == 1, np.nan, good), names)
    with pytest.raises(DataError, match=r"real must have two axes"):
        checked_pair(good[0], good, names)
    with pytest.raises(DataError, match=r"fake has 4 rows, at least 5"):
        checked_pair(drawn(5, 3, 0), good, names, least=5)


def test_spans_cover_every_row_once() -> None:
    assert list(spans(5, 2)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert list(spans(4, 9)) == [slice(0, 4)]
    assert checked_block(1) == 1
    with pytest.raises(ConfigError, match=r"block must be 1 or more rows, got 0"):
        checked_block(0)


def test_products_are_float32_inside_and_the_program_keeps_its_own_setting() -> None:
    before = torch.get_float32_matmul_precision()
    x = torch.from_numpy(drawn(8, 64, 0))
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", torch.bfloat16):
            with exact_products(drawn(2, 2, 0)):
                assert torch.get_float32_matmul_precision() == "highest"
                assert (x @ x.T).dtype == torch.float32
            assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_row_knows_the_slack_of_features_that_float32_cannot_square() -> None:
    rows = Rows(np.full((2, 3), 1e-25), np.zeros(3, dtype=np.float32))
    assert (rows.slack() > 3e-50).all()
