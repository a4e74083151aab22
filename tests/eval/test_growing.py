"""Rows are the same in memory and on disk."""

import numpy as np
import pytest

from beholder.eval._growing import GrowingMatrix


@pytest.mark.parametrize("memory", [0, 100, 2**20])
def test_rows_come_back_in_order_wherever_they_lie(memory: int) -> None:
    values = np.arange(60, dtype=np.float32).reshape(20, 3)
    matrix = GrowingMatrix(memory)
    for start in range(0, 20, 4):
        matrix.append(values[start : start + 4])
        assert len(matrix) == start + 4
    np.testing.assert_array_equal(matrix.array(), values)
    assert isinstance(matrix.array(), np.memmap) == (memory < values.nbytes)


def test_an_empty_matrix_has_no_rows() -> None:
    assert GrowingMatrix().array().shape == (0, 0)


def test_rows_can_be_added_after_the_whole_was_read() -> None:
    matrix = GrowingMatrix(0)
    matrix.append(np.ones((2, 2)))
    assert matrix.array().shape == (2, 2)
    matrix.append(np.zeros((1, 2)))
    np.testing.assert_array_equal(matrix.array(), [[1, 1], [1, 1], [0, 0]])
