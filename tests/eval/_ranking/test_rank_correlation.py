import numpy as np
import pytest
from scipy import stats

from beholder.eval._ranking.rank_correlation import kendall, spearman


@pytest.mark.parametrize("seed", range(5))
def test_both_are_scipys_with_ties(seed: int) -> None:
    x, y = np.random.default_rng(seed).integers(0, 4, (2, 3, 7)).astype(np.float64)
    for k in range(3):
        assert kendall(x, y)[k] == pytest.approx(stats.kendalltau(x[k], y[k]).statistic)
        assert spearman(x, y)[k] == pytest.approx(stats.spearmanr(x[k], y[k]).statistic)


def test_strengths_that_differ_by_rounding_are_equal() -> None:
    nearly, equal, other = np.array([[0.0, 1e-12, 1.0], [0.0, 0.0, 1.0], [2.0, 1.0, 3.0]])[:, None]
    assert kendall(nearly, other) == pytest.approx(kendall(equal, other))
    assert spearman(nearly, other) == pytest.approx(spearman(equal, other))


def test_a_constant_series_has_none() -> None:
    constant, rising = np.zeros((1, 3)), np.array([[0.0, 1.0, 2.0]])
    assert np.isnan(kendall(constant, rising)).all()
    assert np.isnan(spearman(constant, rising)).all()
