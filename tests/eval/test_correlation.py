"""Correlations by hand and against a reference library."""

import numpy as np
import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval.correlation import correlations, mean_ranks, pearson


def test_correlations_by_hand() -> None:
    found = correlations([1.0, 2.0, 3.0, 10.0], [1.0, 3.0, 2.0, 4.0], draws=10)
    # centred: (-3, -2, -1, 6) and (-1.5, .5, -.5, 1.5); ranks 1 2 3 4 and 1 3 2 4
    assert found["plcc"].value == pytest.approx(13 / (50 * 5) ** 0.5)
    assert found["srcc"].value == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert found["plcc"].samples == 4


def test_ties_share_the_mean_of_their_places() -> None:
    assert mean_ranks(np.array([2, 0, 0, 1])).tolist() == [4, 1.5, 1.5, 3]


def test_correlations_are_those_of_scipy_with_ties() -> None:
    stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(0)
    truth = generator.integers(5, size=200) / 4
    predicted = (truth + generator.normal(size=200)).round(1)
    found = correlations(predicted.tolist(), truth.tolist(), draws=10)
    assert found["plcc"].value == pytest.approx(stats.pearsonr(predicted, truth)[0])
    assert found["srcc"].value == pytest.approx(stats.spearmanr(predicted, truth)[0])


def test_the_interval_is_close_to_that_of_fisher() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=500)
    y = x + generator.normal(size=500)
    plcc = correlations(x.tolist(), y.tolist(), draws=2000)["plcc"]
    low, high = np.tanh(np.arctanh(pearson(x, y)) + 1.96 / 497**0.5 * np.array([-1, 1]))
    assert plcc.low == pytest.approx(low, abs=0.015)
    assert plcc.high == pytest.approx(high, abs=0.015)


def test_a_monotone_curve_keeps_the_rank_correlation() -> None:
    x = np.linspace(0, 5, 30)
    found = correlations(np.exp(x).tolist(), x.tolist(), draws=50)["srcc"]
    assert found.value == pytest.approx(1)
    assert found.low == pytest.approx(1)


@pytest.mark.parametrize(
    ("predicted", "truth", "why"),
    [
        ([0.5, 0.5], [0.1, 0.2], "the predictions are all equal"),
        ([0.1, 0.2], [0.5, 0.5], "the true values are all equal"),
        ([0.1], [0.2], "needs two or more pictures, there are 1"),
    ],
)
def test_what_cannot_correlate_says_why(
    predicted: list[float], truth: list[float], why: str
) -> None:
    found = correlations(predicted, truth)
    assert found["plcc"].value is found["srcc"].value is None
    assert why in found["plcc"].why


def test_numbers_that_are_not_finite_are_refused_by_row() -> None:
    with pytest.raises(DataError, match="predicted value nan at row 1 is not finite"):
        correlations([0.1, float("nan")], [0.1, 0.2])


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(DataError, match="one number of each"):
        correlations([0.1, 0.2], [0.1])


def test_no_draw_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 or more draws"):
        correlations([0.1, 0.2], [0.1, 0.2], draws=0)
