from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beholder.errors import DataError
from beholder.eval._array_files import write_arrays
from beholder.eval._features import Array, Features
from beholder.eval._origin import Origin
from beholder.eval.statistics import KIND, RunningStatistics, Statistics, check_moments
from tests.eval.exact_frechet import ORIGIN

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(57, 6)).astype(np.float32) @ RNG.normal(size=(6, 6)).astype(np.float32)


def test_two_pictures_by_hand() -> None:
    found = Statistics.of([[1.0, 2.0], [3.0, 6.0]], ORIGIN)
    assert found.count == 2
    assert found.mean.tolist() == [2, 4]
    assert found.scatter.tolist() == [[2, 4], [4, 8]]
    assert found.covariance().tolist() == [[2, 4], [4, 8]]
    assert found.covariance(ddof=0).tolist() == [[1, 2], [2, 4]]


@pytest.mark.parametrize("block", [1, 7, 57, 100])
def test_blocks_of_any_size_give_numpys_covariance(block: int) -> None:
    found = Statistics.of(Features(ROWS, ORIGIN), block=block)
    exact = ROWS.astype(np.float64)
    np.testing.assert_allclose(found.mean, exact.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(found.covariance(), np.cov(exact, rowvar=False), rtol=1e-12)


def test_merging_shards_in_any_order_equals_one_pass() -> None:
    first, second, third = (Statistics.of(ROWS[i], ORIGIN) for i in np.split(np.arange(57), [5, 6]))
    whole = Statistics.of(ROWS, ORIGIN)
    for merged in (
        first.merged(second).merged(third),
        first.merged(second.merged(third)),
        third.merged(first).merged(second),
    ):
        assert merged.count == 57
        np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-13)
        np.testing.assert_allclose(merged.scatter, whole.scatter, rtol=1e-12)


def test_taking_a_part_out_leaves_the_rest() -> None:
    whole, part = Statistics.of(ROWS, ORIGIN), Statistics.of(ROWS[::3], ORIGIN)
    rest = np.delete(ROWS, np.s_[::3], axis=0)
    found, expected = whole.without(part), Statistics.of(rest, ORIGIN)
    assert found.count == len(rest)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(found.scatter, expected.scatter, rtol=1e-12)


def test_an_offset_common_to_all_features_costs_no_digits() -> None:
    steps = np.round(RNG.normal(size=(500, 5)) * 256) / 256  # so that float32 + 1e4 is exact
    found = Statistics.of((steps + 1e4).astype(np.float32), ORIGIN, block=64)
    np.testing.assert_allclose(found.covariance(), np.cov(steps, rowvar=False), rtol=1e-12)
    np.testing.assert_allclose(found.mean - 1e4, steps.mean(axis=0), atol=5e-12)


def test_batches_may_be_empty_but_not_all_of_them() -> None:
    running = RunningStatistics(ORIGIN)
    running.add(np.empty((0, 6)))
    with pytest.raises(DataError, match="no pictures at all"):
        running.result()
    running.add(ROWS[:20])
    running.add(np.empty((0, 6)))
    early = running.result()
    running.add(ROWS[20:])
    np.testing.assert_allclose(running.result().scatter, Statistics.of(ROWS, ORIGIN).scatter)
    np.testing.assert_allclose(early.scatter, Statistics.of(ROWS[:20], ORIGIN).scatter)


def test_batches_of_another_width_or_with_nans_are_refused() -> None:
    running = RunningStatistics(ORIGIN)
    running.add(ROWS)
    with pytest.raises(DataError, match="5 values after ones of 6"):
        running.add(ROWS[:, :5])
    with pytest.raises(DataError, match="NaN"):
        running.add(np.full((1, 6), np.nan))
    with pytest.raises(DataError, match="origin"):
        Statistics.of(ROWS)


def test_other_origins_and_widths_do_not_merge() -> None:
    whole = Statistics.of(ROWS, ORIGIN)
    other = Statistics.of(ROWS, replace(ORIGIN, resize="clean"))
    with pytest.raises(DataError, match="resize: tf1 and clean"):
        whole.merged(other)
    with pytest.raises(DataError, match="6 and 5 values"):
        whole.merged(Statistics.of(ROWS[:, :5], ORIGIN))
    with pytest.raises(DataError, match="leaves none"):
        whole.without(whole)


def test_an_unknown_count_allows_ddof_1_only() -> None:
    covariance = np.cov(ROWS, rowvar=False)
    unknown = Statistics.of_covariance(ROWS.mean(axis=0), covariance, ORIGIN)
    assert unknown.count is None
    np.testing.assert_array_equal(unknown.covariance(), covariance)
    with pytest.raises(DataError, match="ddof 0 needs to know"):
        unknown.covariance(ddof=0)
    with pytest.raises(DataError, match="unknown number"):
        unknown.merged(unknown)
    counted = Statistics.of_covariance(ROWS.mean(axis=0), covariance, ORIGIN, count=57)
    np.testing.assert_allclose(counted.scatter, Statistics.of(ROWS, ORIGIN).scatter, rtol=1e-5)


def test_one_picture_has_no_covariance_of_ddof_1() -> None:
    alone = Statistics.of(ROWS[:1], ORIGIN)
    assert not alone.covariance(ddof=0).any()
    with pytest.raises(DataError, match="more than 1 rows, got 1"):
        alone.covariance()


@pytest.mark.parametrize("name", ["s.npz", "s.safetensors"])
@pytest.mark.parametrize("count", [57, None])
def test_files_give_back_every_bit(tmp_path: Path, name: str, count: int | None) -> None:
    whole = replace(Statistics.of(ROWS, ORIGIN), count=count)
    whole.save(tmp_path / name)
    found = Statistics.load(tmp_path / name)
    assert (found.count, found.origin) == (count, ORIGIN)
    np.testing.assert_array_equal(found.mean, whole.mean)
    np.testing.assert_array_equal(found.scatter, whole.scatter)


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", mean=np.zeros(3), scatter=np.eye(3))
    with pytest.raises(DataError, match="does not hold statistics that beholder wrote"):
        Statistics.load(tmp_path / "f.npz")
    with pytest.raises(DataError, match=r"safetensors or .npz"):
        Statistics.of(ROWS, ORIGIN).save(tmp_path / "s.pt")


@pytest.mark.parametrize(
    ("mean", "scatter", "why"),
    [
        (np.zeros(2), np.eye(3), "do not fit"),
        (np.zeros((2, 1)), np.eye(2), "do not fit"),
        (np.zeros(2), np.array([[1, 0], [0, np.inf]]), "NaN or infinite"),
        (np.zeros(2), np.array([[1.0, 0.5], [0.4, 1.0]]), "not symmetric"),
        (np.zeros(2), np.array([[1.0, 0.0], [0.0, -1.0]]), "not positive"),
        (np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]]), "not positive"),
    ],
)
def test_what_is_no_covariance_is_refused(mean: Array, scatter: Array, why: str) -> None:
    with pytest.raises(DataError, match=why):
        check_moments(mean, scatter, "file")


def test_parts_of_a_set_of_unknown_origin_merge() -> None:
    nowhere = Origin.from_dict({})
    first, second = (Statistics.of(part, nowhere) for part in (ROWS[:20], ROWS[20:]))
    np.testing.assert_allclose(
        first.merged(second).scatter, Statistics.of(ROWS, nowhere).scatter, rtol=1e-10
    )


@pytest.mark.parametrize("count", ["x", '"7"', "-5", "0", "7.5", "true", "[7]"])
def test_a_damaged_count_is_named_with_its_file(tmp_path: Path, count: str) -> None:
    path = tmp_path / "s.npz"
    whole = Statistics.of(ROWS, ORIGIN)
    about = {"kind": KIND, "count": count, **ORIGIN.as_dict()}
    write_arrays(path, {"mean": whole.mean, "scatter": whole.scatter}, about)
    with pytest.raises(DataError, match=r"s\.npz: its count is damaged"):
        Statistics.load(path)
