import numpy as np
import pytest

from beholder.annotation.asking.information import sigmoid
from beholder.annotation.asking.strengths import posterior

NONE = np.zeros((3, 3))


def test_without_answers_the_belief_is_the_prior() -> None:
    belief = posterior(NONE, np.array([1.0, 0.0, -2.0]), 0.5)
    assert belief.mean == pytest.approx([1.0, 0.0, -2.0])
    assert belief.covariance == pytest.approx(0.25 * np.eye(3))


def test_the_mean_is_where_answers_and_prior_balance() -> None:
    """Gradient by hand: wins - met p - (s - centre) / spread^2 = 0."""
    wins = np.array([[0, 4, 1.5], [1, 0, 3], [0.5, 2, 0]])
    centre, spread = np.array([0.3, 0.0, -0.3]), 1.5
    belief = posterior(wins, centre, spread)
    p = sigmoid(belief.mean[:, None] - belief.mean[None, :])
    gradient = (wins - (wins + wins.T) * p).sum(1) - (belief.mean - centre) / spread**2
    assert gradient == pytest.approx(np.zeros(3), abs=1e-9)


def test_many_answers_give_the_frequency_whatever_the_prior() -> None:
    wins = np.array([[0, 7500.0], [2500.0, 0]])
    mean, variance = posterior(wins, np.array([-1.0, 1.0]), 3.0).margins(np.array([[0, 1]]))
    assert mean[0] == pytest.approx(np.log(3), abs=0.01)
    assert variance[0] == pytest.approx(1 / (10_000 * 0.75 * 0.25), rel=0.01)


def test_a_clean_sweep_stays_finite() -> None:
    belief = posterior(np.array([[0, 1e6], [0, 0]]), np.zeros(2), 2.0)
    assert np.isfinite(belief.mean).all()
    assert belief.mean[0] > 5


def test_an_expected_answer_sharpens_its_own_margin_most_and_moves_no_mean() -> None:
    """A rank-one update: 1 / variance grows by the expected Fisher information."""
    belief = posterior(NONE, np.zeros(3), 1.0)
    after = belief.after(0, 1)
    pairs = np.array([[0, 1], [0, 2]])
    _, before = belief.margins(pairs)
    mean, variance = after.margins(pairs)
    gained = 1 / variance - 1 / before
    d = np.linspace(-15, 15, 100_001, dtype=np.float64)
    density = np.exp(-(d**2) / (2 * before[0]))
    weight = (density * sigmoid(d) * sigmoid(-d)).sum() / density.sum()
    assert mean == pytest.approx([0, 0])
    assert gained[0] == pytest.approx(weight, abs=1e-6)
    assert gained[0] > gained[1] > 0
