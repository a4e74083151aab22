"""Rows of recipes are shares of pairs beside those of the untrained towers."""

import numpy as np
import pytest

from benchmarks._recipe_rows import UNTRAINED, rows, share

ALL_RIGHT = np.array([[2.0, 2.0], [1.0, 1.0]])
HALF_RIGHT = np.array([[1.0, 2.0], [0.5, 1.0]])


def test_a_share_has_its_interval_over_prompts() -> None:
    unlike = share(np.array([[2.0, 2.0], [0.0, 1.0]]))
    assert (unlike.low, unlike.median, unlike.high) == pytest.approx((0.0, 2 / 3, 1.0))


def test_a_recipe_stands_beside_the_untrained_towers() -> None:
    figures = {UNTRAINED: {"overall": HALF_RIGHT}, "MPS": {"overall": ALL_RIGHT}}
    (row,) = rows(figures, ["MPS"], "quickstart, 500 steps")
    assert row.ratio.median == row.ratio.low == row.ratio.high == 2
    assert (
        row.what == "MPS: held-out pairs in the annotators' order, overall; quickstart, 500 steps"
    )
    assert row.agreement == "100.0 % of pairs"
