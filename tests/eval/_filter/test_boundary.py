"""Of all rows offered the nearest are remembered."""

import numpy as np

from beholder.eval._filter.boundary import Nearest


def test_the_nearest_rows_are_those_of_one_sort_and_equal_ones_stay_in_order() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 20, 200).astype(float)
    distances = np.abs(values - 7)
    expected = np.argsort(distances, kind="stable")[:5]
    for size in (1, 3, 50, 200):
        nearest = Nearest(5)
        for start in range(0, 200, size):
            rows = np.arange(start, min(start + size, 200))
            nearest.offer(rows, values[rows], distances[rows])
        assert nearest.rows.tolist() == expected.tolist()
        assert nearest.values.tolist() == values[expected].tolist()
