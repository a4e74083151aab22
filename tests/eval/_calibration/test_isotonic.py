import numpy as np
import pytest

from beholder.calibration import Curve, Floats
from beholder.errors import DataError
from beholder.eval._calibration.isotonic import fit_isotonic, pool_adjacent_violators
from beholder.eval._calibration.temperature import fit_temperature
from tests.eval._calibration.judged import drawn, log_loss


def curve(margin: Floats, p_first: Floats) -> Curve:
    knots, levels = fit_isotonic(margin, p_first)
    return Curve(knots=tuple(knots.tolist()), levels=tuple(levels.tolist()))


def test_neighbours_that_fall_are_pooled_by_their_weights() -> None:
    found = pool_adjacent_violators(np.array([1.0, 3.0, 0.0, 4.0]), np.array([1.0, 1.0, 2.0, 1.0]))
    assert found.tolist() == [1.0, 1.0, 1.0, 4.0]  # (3 + 2 * 0) / 3 = 1 joins the 1 before it
    falling = pool_adjacent_violators(np.array([3.0, 2.0, 1.0]), np.ones(3))
    assert falling.tolist() == [2.0, 2.0, 2.0]
    assert pool_adjacent_violators(np.array([1.0, 2.0]), np.ones(2)).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("seed", range(5))
def test_no_never_falling_sequence_is_nearer_by_quadratic_programming(seed: int) -> None:
    """min Σ w (x - y)² with x = L d, d >= 0 but for the first: solved by projected gradients."""
    generator = np.random.default_rng(seed)
    y, w = generator.normal(size=9), generator.uniform(0.2, 3, size=9)
    steps = np.tril(np.ones((9, 9)))
    quadratic, linear = steps.T @ (w[:, None] * steps), steps.T @ (w * y)
    rate, d = 1 / np.linalg.eigvalsh(quadratic)[-1], np.zeros(9)
    for _ in range(60_000):
        d -= rate * (quadratic @ d - linear)
        d[1:] = np.maximum(d[1:], 0)
    np.testing.assert_allclose(pool_adjacent_violators(y, w), steps @ d, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_scikit_learn_gives_of_the_pairs_and_their_mirrors(seed: int) -> None:
    isotonic = pytest.importorskip("sklearn.isotonic")
    pairs = drawn(300, tied=0.2, seed=seed)
    weight = np.random.default_rng(seed).uniform(0.1, 2, size=300)
    margin = np.round(pairs.margin, 1)  # with equal margins and some of 0
    both = np.concatenate([margin, -margin])
    said = np.concatenate([pairs.p_first, 1 - pairs.p_first])
    known = isotonic.IsotonicRegression().fit(both, said, np.concatenate([weight, weight]))
    knots, levels = fit_isotonic(margin, pairs.p_first, weight)
    found = Curve(knots=tuple(knots.tolist()), levels=tuple(levels.tolist()))
    np.testing.assert_allclose(found.probability(margin), known.predict(margin), atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_in_sample_it_is_never_worse_than_a_temperature_by_log_loss(seed: int) -> None:
    pairs = drawn(200, temperature=0.5 + seed, tied=0.1, seed=seed)
    stated = curve(pairs.margin, pairs.p_first).probability(pairs.margin)
    by_temperature = Curve(temperature=fit_temperature(pairs.margin, pairs.p_first))
    best = log_loss(stated, pairs.p_first)
    assert best < log_loss(by_temperature.probability(pairs.margin), pairs.p_first)


def test_a_pair_and_its_mirror_give_the_same_curve() -> None:
    pairs = drawn(100)
    knots, levels = fit_isotonic(pairs.margin, pairs.p_first)
    turned = fit_isotonic(-pairs.margin, 1 - pairs.p_first)
    assert (knots.tolist(), levels.tolist()) == (turned[0].tolist(), turned[1].tolist())


def test_a_weight_counts_as_so_many_pairs() -> None:
    margin, p = np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 1.0])
    twice = fit_isotonic(np.append(margin, 1.0), np.append(p, 1.0))
    weighed = fit_isotonic(margin, p, np.array([2.0, 1.0, 1.0]))
    assert weighed[1].tolist() == twice[1].tolist() == pytest.approx([0.5, 2 / 3, 2 / 3, 1.0])


def test_the_divided_pair_keeps_the_surest_level_below_one() -> None:
    margin, p = np.array([1.0, 2.0, 2.0, -2.0]), np.array([0.0, 1.0, 1.0, 0.0])
    assert fit_isotonic(margin, p)[1].tolist() == [0.5, 0.5, 1.0]
    # three pairs agree at a margin of 2, and half of one more does
    assert fit_isotonic(margin, p, prior=1.0)[1].tolist() == [0.5, 0.5, 3.5 / 4]


@pytest.mark.parametrize(
    ("margin", "p", "why"),
    [
        ([0.0, 0.0], [1.0, 0.0], "scores both pictures of each of 2 pairs equally"),
        ([1.0, 2.0], [0.5, 0.0], "no probability above 1/2 fits"),
    ],
)
def test_where_nothing_rises_the_error_says_why(
    margin: list[float], p: list[float], why: str
) -> None:
    with pytest.raises(DataError, match=why):
        fit_isotonic(np.array(margin), np.array(p))
