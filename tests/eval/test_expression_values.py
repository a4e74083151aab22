"""Texts, numbers and conditions do not mix."""

import numpy as np
import pyarrow as pa
import pytest

from beholder.errors import ConfigError
from beholder.eval._expression_values import alike, is_member, numbers, sample, truths

TEXTS = pa.array(["a", "b"])


def test_one_value_is_shown_of_many() -> None:
    assert [sample(v) for v in (TEXTS, np.array([0.5, 1]), np.float64(2), "x", True)] == [
        "a", 0.5, 2, "x", True,
    ]  # fmt: skip


def test_a_condition_is_true_or_false() -> None:
    assert truths(np.bool_(1), 2).tolist() == [True, True]
    for values in (np.array([1.0]), 1, "a", TEXTS):
        with pytest.raises(ConfigError, match="join comparisons"):
            truths(values, 1)


def test_numbers_are_no_texts() -> None:
    assert numbers(np.array([True, False])).tolist() == [1, 0]
    for values in ("a", TEXTS):
        with pytest.raises(ConfigError, match="cannot compute with the text 'a'"):
            numbers(values)
    with pytest.raises(ConfigError, match=r"cannot compare 'a' with 0\.5"):
        alike(TEXTS, 0.5)


def test_members_are_equal_and_of_the_same_kind() -> None:
    assert is_member(TEXTS, [1, "b"], 2).tolist() == [False, True]
    assert is_member(np.array([1, 2]), ["1", 2.0], 2).tolist() == [False, True]
    assert is_member(np.array([True, False]), [1], 2).tolist() == [True, False]
    assert is_member("b", ["a", "b"], 2).tolist() == [True, True]
    assert is_member(0.5, [], 1).tolist() == [False]


def test_a_literal_beside_a_column_is_as_that_column_holds_it() -> None:
    single = np.array([0.3], np.float32)
    assert alike(single, 0.3)[1] == single[0]
    assert alike(0.3, single)[0] == single[0]
    assert isinstance(alike(np.array([1]), 1.0)[1], int)
    assert alike(np.array([0.3]), 0.3)[1] == 0.3
    assert alike(True, single)[0] is True  # noqa: FBT003
