import numpy as np
import numpy.typing as npt
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval._unit_rows import Array, Nearest, UnitRows, checked_threshold, cosines


def unit(values: npt.ArrayLike) -> Array:
    wide = np.asarray(values, dtype=np.float64)
    rows: Array = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    return rows


def test_equal_rows_have_a_cosine_of_exactly_1_although_float32_lengths_do_not() -> None:
    rows = UnitRows(unit(np.random.default_rng(0).normal(size=(50, 37))), "rows")
    every = np.arange(50)
    assert (rows.squares != 1).any()
    assert (cosines(rows, every, rows, every) == 1).all()


def test_a_cosine_has_the_same_digits_alone_and_among_others() -> None:
    rows = UnitRows(unit(np.random.default_rng(0).normal(size=(1300, 19))), "rows")
    i, j = np.arange(1300), np.arange(1300)[::-1].copy()
    together = cosines(rows, i, rows, j)
    alone = [cosines(rows, i[k : k + 1], rows, j[k : k + 1])[0] for k in (0, 511, 512, 1299)]
    assert alone == together[[0, 511, 512, 1299]].tolist()


def test_the_nearest_is_found_over_several_comparisons_and_the_first_of_equals_is_named() -> None:
    rows = UnitRows(unit(np.array([[1, 0], [1, 0.01], [1, 0], [0, 1], [1, 0]])), "rows")
    nearest = Nearest(rows, np.array([4, 3]), rows, 0.99)
    for others in ([1, 2], [0]):
        nearest.compare(np.array([0, 1]), np.array(others))
    of, similarity = nearest.decided()
    assert of.tolist() == [0, -1]
    assert similarity.tolist() == [1, -np.inf]
    assert nearest.decided(rank=np.array([9, 1, 0, 2, 3]))[0].tolist() == [2, -1]


@pytest.mark.parametrize("above", [False, True])
def test_a_pair_that_float32_cannot_tell_from_the_threshold_is_decided_in_float64(
    above: bool,
) -> None:
    rows = UnitRows(unit(np.abs(np.random.default_rng(3).normal(size=(2, 700)))), "rows")
    first, second = np.array([0]), np.array([1])
    (exact,) = cosines(rows, first, rows, second)
    nearest = Nearest(rows, first, rows, exact if above else np.nextafter(exact, 1))
    nearest.compare(first, second)
    assert nearest.decided()[0].tolist() == [1 if above else -1]


def test_rows_of_nan_are_unknown_and_no_others_may_lack_a_length_of_1() -> None:
    values = unit(np.eye(3))
    values[1, 2] = np.nan
    assert UnitRows(values, "rows").known.tolist() == [0, 2]
    with pytest.raises(DataError, match="row 2 of rows has length 2;"):
        UnitRows(values * np.array([[1], [1], [2]], np.float32), "rows")
    with pytest.raises(DataError, match="float32, got float64"):
        UnitRows(np.eye(3), "rows")


@pytest.mark.parametrize("threshold", [0.0, 1.01, float("nan")])
def test_a_threshold_is_a_positive_cosine(threshold: float) -> None:
    with pytest.raises(ConfigError, match="lies in"):
        checked_threshold(threshold)
