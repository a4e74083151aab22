"""Rows under evaluation keep their places, whatever is taken of them."""

import numpy as np
import pyarrow as pa

from beholder.eval._filter.frame import Frame, is_text, present
from beholder.eval._filter.statistics import Statistic, measured
from tests.eval.filtered import HeldRows

TABLE = pa.table(
    {
        "x": pa.array([1.5, None, float("inf"), 4.0], pa.float32()),
        "n": [1, None, 3, 4],
        "ok": [True, False, None, True],
        "m": ["a", None, "b", "c"],
    }
)


def test_columns_keep_their_kind_and_follow_the_chosen_rows() -> None:
    frame = Frame.of(TABLE, np.array([0, 3]))
    assert frame.column("x").dtype == np.float32
    assert frame.column("n").dtype == np.int64
    assert [frame.column(name).tolist() for name in ("x", "n", "ok")] == [
        [1.5, 4], [1, 4], [True, True],
    ]  # fmt: skip
    assert frame.column("m").to_pylist() == ["a", "c"]
    last = frame.where(np.array([False, True]))
    assert (len(last), last.rows.tolist()) == (1, [3])
    assert last.column("m").to_pylist() == ["c"]
    assert is_text(last.column("m"))
    assert not is_text(last.column("x"))


def test_who_divides_by_zero_is_known_to_all_frames_of_a_part() -> None:
    frame = Frame.of(TABLE, np.array([0, 2, 3]))
    frame.where(np.array([False, True, True])).divide_by_zero(np.array([True, False]))
    assert frame.divides.tolist() == [False, True, False]
    frame.divide_by_zero(np.asarray(1 == 1))
    assert frame.divides.all()


def test_statistics_are_asked_at_the_rows_place_in_the_table() -> None:
    asked = Statistic("percentile", "n")
    known = measured(HeldRows(TABLE), [asked])
    frame = Frame.of(TABLE.slice(2), np.array([1]), start=2, statistics=known)
    assert frame.statistic(asked).tolist() == [1.0]


def test_a_number_that_is_not_finite_is_no_value() -> None:
    assert [present(TABLE[name]).tolist() for name in ("x", "m")] == [
        [True, False, False, True], [True, False, True, True],
    ]  # fmt: skip
