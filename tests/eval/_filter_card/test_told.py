import re

import numpy as np

from beholder.eval._filter_card.tally import Tally
from beholder.eval._filter_card.told import QUANTILES, beyond, histogram, quantiles, steps
from tests.eval._filter_card.sample import tally


def test_each_step_sees_what_the_steps_before_it_left() -> None:
    found = list(steps(10, [("a", {"x": 1, "y": 3, "w": 3}), ("b", {}), ("c", {"z": 2})]))
    assert [(step.came, step.dropped, step.left) for step in found] == [
        (10, 7, 3),
        (3, 0, 3),
        (3, 2, 1),
    ]
    assert found[0].reasons == [("w", 3), ("y", 3), ("x", 1)]


def test_a_histogram_says_in_words_what_it_draws() -> None:
    drawn = histogram(tally("mps.total", [0.0, 1.0, 4.0], [False, True, True]), [(2.0, "cut: 2")])
    assert "mps.total: 3 rows from 0 to 4, half of them below 1" in drawn
    assert "; 2 kept, cut: 2" in drawn
    assert histogram(Tally("x"), []) == ""


def test_a_column_of_one_value_is_a_bar_that_can_be_seen() -> None:
    drawn = histogram(tally("x", [0.0, 0.0], [False, True]), [(float("nan"), "nowhere")])
    widths = re.findall(r'class="(?:kept|dropped)" x=".*?%" width="(.*?)%"', drawn)
    assert len(widths) == 2
    assert float(widths[0]) > 1
    assert "nowhere" not in drawn


def test_rows_beyond_the_plot_are_counted() -> None:
    values = np.concatenate([np.linspace(0, 0.99, 9_000), [500.0, -500.0]])
    far = tally("x", values.tolist(), [True] * 9_002)
    assert beyond(far, []) == 2
    assert beyond(far, [(500.0, ""), (-500.0, "")]) == 0
    assert beyond(Tally("x"), []) == 0


def test_quantiles_carry_their_names() -> None:
    found = quantiles(tally("x", [1.0] * 5, [True] * 5))
    assert len(found) == len(QUANTILES)
    assert found[3] == ("50\N{NO-BREAK SPACE}%", "1")
