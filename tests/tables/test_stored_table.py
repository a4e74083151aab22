"""Scores find their rows by key."""

import pyarrow as pa
import pytest

from beholder._tables.stored_table import attach, refuse_repeats
from beholder.errors import DataError
from beholder.tables import PENDING


def test_scores_are_attached_by_key_and_absent_ones_say_so() -> None:
    part = pa.table({"key": ["a", "b", "c"]})
    scores = pa.table({"key": ["c", "a"], "x.total": [3.0, 1.0], "x.error": [None, "cut: x"]})
    assert attach(part, scores, {"x.error"}).to_pydict() == {
        "key": ["a", "b", "c"],
        "x.total": [1.0, None, 3.0],
        "x.error": ["cut: x", PENDING, None],
    }


def test_a_key_that_is_there_twice_is_named() -> None:
    refuse_repeats(pa.table({"key": ["a", "b"]}), "t")
    with pytest.raises(DataError, match="t: key 'b' occurs more than once"):
        refuse_repeats(pa.table({"key": ["a", "b", "b"]}), "t")
