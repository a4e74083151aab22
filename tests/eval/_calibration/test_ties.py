import numpy as np
import pytest

from beholder.errors import DataError
from beholder.eval._calibration.ties import best_tie_threshold
from beholder.eval.protocols import pair_credit


def test_the_threshold_lies_between_the_ties_and_the_preferences() -> None:
    sure, right = np.array([0.1, 0.2, 0.6, 0.8]), np.array([0.0, 0.0, 1.0, 1.0])
    assert best_tie_threshold(sure, right) == pytest.approx(0.4)


def test_where_people_never_tie_and_the_reward_is_mostly_right_nothing_is_a_tie() -> None:
    sure, right = np.array([0.1, 0.2, 0.3]), np.array([1.0, -1.0, 1.0])
    assert best_tie_threshold(sure, right) == 0


def test_equally_sure_pairs_are_never_parted() -> None:
    sure, right = np.array([0.3, 0.3, 0.3, 0.9]), np.array([0.0, 1.0, 1.0, 1.0])
    assert best_tie_threshold(sure, right) == 0  # the tie would cost the two that are right
    everything = np.array([0.0, 0.0, 1.0, 0.0])
    assert best_tie_threshold(sure, everything) == pytest.approx((0.9 + 1) / 2)


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_on_a_fine_grid_earns_more(seed: int) -> None:
    generator = np.random.default_rng(seed)
    sure = np.round(generator.random(40), 2)
    right = np.where(generator.random(40) < 0.6 * (1 - sure), 0.0, generator.choice([1, 1, -1], 40))

    def earned(threshold: float) -> float:
        predicted = (sure > threshold).astype(np.float64)
        return float(pair_credit(predicted, (1 + right) / 2, "pickapic", 0.0)[0].sum())

    right[sure == 0] = 0
    best = best_tie_threshold(sure, right)
    grid = [earned(t) for t in np.linspace(0, 1, 2001)]
    assert earned(best) == max(grid)


def test_without_a_pair_there_is_no_threshold() -> None:
    with pytest.raises(DataError, match="no pair"):
        best_tie_threshold(np.zeros(0), np.zeros(0))
