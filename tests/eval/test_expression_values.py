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
