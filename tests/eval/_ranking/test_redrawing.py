import math

import numpy as np
import pytest
from scipy import stats

from beholder.errors import DataError
from beholder.eval._ranking.redrawing import _student, expanded_interval, redrawn
from tests.eval._ranking.samples import Rows, cells

NOISE = (0.0, 5.0, -2.0)


def shared_noise(*, seeds: bool) -> Rows:
    """Two checkpoints that differ by 1 on the same noise."""
    rows: list[tuple[object, ...]] = []
    for prompt in range(4):
        for k, noise in enumerate(NOISE):
            rows += [("a", prompt, noise + prompt, k), ("b", prompt, noise + prompt + 1, k)]
    return rows if seeds else [row[:3] for row in rows]


def test_one_of_two_pictures_is_drawn_at_random() -> None:
    """k - 1 of k: the spread of one of (0, 2) is 1, that of the mean of two fresh ones."""
    drawn = redrawn(cells([("a", "p", 0.0), ("a", "p", 2.0), ("b", "p", 1.0)]), "seeds", 400, 0)
    means = drawn.mean[:, 0]
    assert set(means.tolist()) == {0.0, 2.0}
    assert means.mean() == pytest.approx(1.0, abs=0.15)
    assert set(drawn.wins[:, 0].tolist()) == {0.0, 1.0}
    assert set(drawn.mean[:, 1].tolist()) == {1.0}  # a single picture stays


def test_seeds_are_redrawn_for_all_checkpoints_at_once() -> None:
    paired = redrawn(cells(shared_noise(seeds=True)), "seeds", 50, 0)
    np.testing.assert_allclose(paired.difference, -4.0)  # -1 on each of four prompts, always
    assert paired.mean[:, 0].std() > 0.5
    alone = redrawn(cells(shared_noise(seeds=False)), "seeds", 50, 0)
    assert alone.difference.std() > 0.5


def test_the_spread_over_seeds_is_that_of_fresh_pictures() -> None:
    """The variance of a sum of four cells' means is the sum of s^2 / k."""
    drawn = redrawn(cells(shared_noise(seeds=False)), "seeds", 2000, 1)
    expected = 4 * np.var(NOISE, ddof=1) / len(NOISE)
    assert drawn.mean[:, 0].var() == pytest.approx(expected, rel=0.1)


def test_redrawing_both_adds_the_spread_of_seeds_to_that_of_prompts() -> None:
    rows = shared_noise(seeds=False)
    within = 4 * np.var(NOISE, ddof=1) / len(NOISE)
    across = redrawn(cells(rows), "prompts", 2000, 1).mean[:, 0].var()
    both = redrawn(cells(rows), "both", 2000, 1).mean[:, 0].var()
    assert across == pytest.approx(4 * np.var(range(4)), rel=0.1)
    assert both == pytest.approx(across + within, rel=0.1)


def test_prompts_that_lack_a_seed_are_redrawn_without_it() -> None:
    rows = [("a", "p", 0.0, 0), ("a", "p", 2.0, 1), ("b", "p", 1.0, 0)]
    drawn = redrawn(cells(rows), "seeds", 100, 0)
    assert set(drawn.has[:, 1].tolist()) == {0.0, 1.0}  # seed 1 alone leaves b without a picture
    np.testing.assert_array_equal(drawn.met[:, 0], drawn.has[:, 1])


def test_equal_draws_for_every_score() -> None:
    rows = [("a", p, float(p), 0) for p in range(9)] + [("b", p, 0.0, 0) for p in range(9)]
    one = redrawn(cells(rows), "prompts", 20, 3)
    other = redrawn(cells([(m, p, 2 * float(str(s)), k) for m, p, s, k in rows]), "prompts", 20, 3)
    np.testing.assert_allclose(other.mean, 2 * one.mean)


def test_single_pictures_cannot_be_redrawn() -> None:
    with pytest.raises(DataError, match="two pictures of a prompt"):
        redrawn(cells([("a", "p", 0.0), ("b", "p", 2.0)]), "seeds", 5, 0)


@pytest.mark.parametrize("freedom", [4, 7, 19, 200])
def test_the_quantile_is_students(freedom: int) -> None:
    exact = stats.t.ppf(0.975, freedom)
    assert _student(0.95, freedom) == pytest.approx(exact, rel=0.01 if freedom < 9 else 1e-4)


def test_the_interval_of_a_normal_mean_is_that_of_a_t_test() -> None:
    groups, error = 12, 0.3
    spread = error * math.sqrt((groups - 1) / groups)  # what redrawing groups gives
    samples = spread * stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    interval = expanded_interval(samples, groups)
    assert interval.high == pytest.approx(stats.t.ppf(0.975, groups - 1) * error, rel=2e-3)
    assert interval.low == pytest.approx(-interval.high)


def test_one_prompt_has_no_interval() -> None:
    assert math.isnan(expanded_interval(np.ones(5), 1).low)
