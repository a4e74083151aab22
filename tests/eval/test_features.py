"""A matrix of features is checked once, at the door."""

import numpy as np
import pytest
import torch

from beholder.errors import DataError
from beholder.eval._features import Features, checked_matrix
from tests.eval.test_origin import OURS


def test_floats_pass_untouched_and_whole_numbers_become_floats() -> None:
    values = np.ones((3, 2), np.float32)
    assert checked_matrix(values, "features") is values
    assert checked_matrix([[1, 2], [3, 4]], "features").dtype == np.float64


def test_tensors_of_any_type_are_taken() -> None:
    for dtype in (torch.bfloat16, torch.float64, torch.int64):
        found = checked_matrix(torch.ones(3, 2, dtype=dtype, requires_grad=False), "features")
        np.testing.assert_array_equal(found, np.ones((3, 2)))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.ones(3), r"two axes, \(n, d\), got shape \(3,\)"),
        (np.ones((0, 2)), "has 0 rows, at least 1"),
        (np.array([[1.0], [np.nan], [np.inf]]), "in 2 of 3 rows, the first is row 1"),
    ],
)
def test_what_is_no_matrix_of_finite_numbers_is_refused(values: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        checked_matrix(values, "features")


def test_there_are_as_many_keys_as_rows_or_none() -> None:
    assert Features(np.ones((2, 3)), OURS).keys == ()
    with pytest.raises(DataError, match="2 rows of features but 1 keys"):
        Features(np.ones((2, 3)), OURS, ("a",))


def test_there_are_as_many_labels_as_rows_or_none() -> None:
    assert Features(np.ones((2, 3)), OURS, labels=("cat", "")).labels == ("cat", "")
    with pytest.raises(DataError, match="2 rows of features but 1 labels"):
        Features(np.ones((2, 3)), OURS, labels=("cat",))
