import math

import numpy as np
import pytest

from beholder.eval._bootstrap import Floats
from beholder.training._curve.extrapolation import Outlook, extrapolate

SIZES = [100.0, 200.0, 400.0, 800.0]


def still(values: Floats, draws: int = 50) -> Floats:
    """Draws of held-out prompts that all say the same."""
    return np.tile(values, (draws, 1))


def test_a_line_over_the_logarithm_is_continued() -> None:
    """y = 0.5 + 0.02 log2 n: twice the data adds 0.02; the power law says a little less."""
    values = 0.5 + 0.02 * np.log2(SIZES)
    found = extrapolate(SIZES, values, still(values))
    assert found.size == 1600
    assert found.high == pytest.approx(0.5 + 0.02 * math.log2(1600), abs=2e-3)
    assert found.gain_high == pytest.approx(0.02, abs=2e-3)
    assert found.gain is not None
    assert 0.015 < found.gain < 0.02


def test_a_power_law_of_the_error_is_continued() -> None:
    """1 - y = 2 n**-0.5: at 1600 the error is 0.05."""
    values = 1 - 2 * np.asarray(SIZES) ** -0.5
    found = extrapolate(SIZES, values, still(values))
    exact = 1 - 2 * 1600**-0.5
    assert found.low is not None
    assert found.high is not None
    assert found.low <= exact <= found.high


def test_each_draw_of_held_out_prompts_moves_the_whole_curve() -> None:
    """Draws that lift all runs alike widen the value and leave the line's gain as it is."""
    values = 0.5 + 0.02 * np.log2(SIZES)
    lifts = np.random.default_rng(0).normal(0, 0.03, (4000, 1))
    found = extrapolate(SIZES, values, still(values, 4000) + lifts)
    assert found.low is not None
    assert found.high is not None
    assert found.gain_low is not None
    assert found.high - found.low > 0.1
    assert found.gain_low > 0.01


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Curves with known noise: at least 95 % of 200 intervals hold what twice the data gives."""
    random = np.random.default_rng(1)
    truth = 0.5 + 0.02 * math.log2(1600)
    held = 0
    for seed in range(200):
        values = 0.5 + 0.02 * np.log2(SIZES) + random.normal(0, 0.01, 4)
        found = extrapolate(SIZES, values, still(values, 400), seed=seed)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert held >= 185


def test_runs_that_scatter_give_no_promise() -> None:
    values = np.array([0.60, 0.70, 0.58, 0.66])
    found = extrapolate(SIZES, values, still(values, 2000))
    assert "cannot be told whether twice the data (1,600 pairs) would help" in found.statement(
        "pairs"
    )


def test_two_sizes_are_too_few_whatever_the_repeats() -> None:
    values = np.array([0.6, 0.61, 0.7, 0.71])
    found = extrapolate([100, 100, 200, 200], values, still(values))
    assert found.value is None
    assert "2 sizes were measured, 3 are needed" in found.statement("pairs")


def test_a_perfect_score_stays_1() -> None:
    values = np.array([0.98, 0.99, 1.0, 1.0])
    found = extrapolate(SIZES, values, still(values), least_error=0.005)
    assert found.value is not None
    assert found.value <= 1
    assert found.high == 1


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.01, 0.03, "would give about 0.800, within [0.780, 0.820]: a gain of +0.020"),
        (-0.01, 0.03, "cannot be told whether"),
        (-0.05, -0.01, "More data made it worse"),
    ],
)
def test_the_statement_follows_the_gain(low: float, high: float, text: str) -> None:
    outlook = Outlook(
        size=200, now=0.78, value=0.8, low=0.78, high=0.82, gain=0.02, gain_low=low, gain_high=high
    )
    assert text in outlook.statement("pairs")
