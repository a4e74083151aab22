"""A decision gives every row back once: kept, or dropped with its reason."""

import numpy as np
import pyarrow as pa
import pytest

from beholder.errors import DataError
from beholder.eval._filter.decision import Decision, kind
from tests.eval.filtered import HeldRows

TABLE = pa.table(
    {
        "key": list("abcdef"),
        "reason": ["own"] * 6,
        "mps.error": [None, "cut: x", None, None, None, "cut: y"],
    }
)


def decision(part: int = 2) -> Decision:
    return Decision(
        HeldRows(TABLE, part),
        ["error: cut", "near duplicate", "not x > 1"],
        np.array([0, 1, 2, 0, 3, 1], np.int32),
        details={2: "near duplicate of a (0.973)"},
        told_by={1: "mps.error"},
    )


def test_kept_and_dropped_rows_are_all_rows_in_order() -> None:
    kept = pa.concat_tables(decision().kept_parts())
    dropped = pa.concat_tables(decision().dropped_parts())
    assert kept["key"].to_pylist() == ["a", "d"]
    assert kept.column_names == TABLE.column_names
    assert dropped.to_pydict() == {
        "key": ["b", "c", "e", "f"],
        "mps.error": ["cut: x", None, None, "cut: y"],
        "reason": [
            "error: cut: x", "near duplicate of a (0.973)", "not x > 1", "error: cut: y",
        ],
    }  # fmt: skip


def test_columns_may_be_chosen_and_the_reason_stays() -> None:
    parts = list(decision().dropped_parts(["key"]))
    assert [part.column_names for part in parts] == [["key", "reason"]] * 3
    assert [len(part) for part in decision().kept_parts(["key"])] == [1, 1, 0]


def test_reasons_are_counted_by_kind_the_most_frequent_first() -> None:
    assert decision().counts() == {"cut": 2, "near duplicate": 1, "not x > 1": 1}
    assert [decision().reason(row) for row in (0, 2, 4)] == [
        None, "near duplicate of a (0.973)", "not x > 1",
    ]  # fmt: skip
    assert (kind("error: cut: x"), kind("not x > 1")) == ("cut", "not x > 1")


def test_a_table_that_grows_meanwhile_is_not_cut_short_silently() -> None:
    grown = Decision(HeldRows(TABLE, 2), [], np.zeros(5, np.int32))
    with pytest.raises(DataError, match="grew while it was filtered"):
        list(grown.kept_parts())
