import math

import numpy as np
import numpy.typing as npt
import pytest

from beholder.annotation.asking.information import (
    disagreement,
    entropy,
    expected_weight,
    order_information,
    sigmoid,
    temperature,
    usual_temperature,
)

Floats = npt.NDArray[np.float64]

FINE = np.linspace(
    -10, 10, 400_000, dtype=np.float64
)  # even: no point lies on d = 0 of a centred margin
DENSITY = np.exp(-(FINE**2) / 2) / np.exp(-(FINE**2) / 2).sum()


def test_entropy_in_nats_worked_out_by_hand() -> None:
    p = np.array([0.0, 0.25, 0.5, 1.0])
    quarter = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    assert entropy(p) == pytest.approx([0.0, quarter, math.log(2), 0.0], abs=1e-15)


def test_sigmoid_does_not_overflow() -> None:
    assert sigmoid(np.array([-1e4, 0.0, math.log(3), 1e4])) == pytest.approx([0, 0.5, 0.75, 1])


def test_rewards_that_agree_tell_nothing_and_opposites_a_whole_answer() -> None:
    p = np.array([[0.5, 0.9, 1.0, 0.25], [0.5, 0.9, 0.0, 0.75]])
    half_way = math.log(2) - (0.25 * math.log(4) + 0.75 * math.log(4 / 3))
    assert disagreement(p) == pytest.approx([0.0, 0.0, math.log(2), half_way], abs=1e-15)


@pytest.mark.parametrize("mean", [-3.0, 0.0, 0.4, 2.0, 12.0])
@pytest.mark.parametrize("deviation", [0.05, 0.7, 2.0, 5.0])
def test_order_information_is_the_integral_worked_out_on_a_fine_grid(
    mean: float, deviation: float
) -> None:
    d = mean + deviation * FINE
    p = sigmoid(d)
    told = entropy(np.array([(DENSITY * p).sum()]))[0]
    for side in (d >= 0, d < 0):
        mass = (DENSITY * side).sum()
        if mass > 0:
            told -= mass * entropy(np.array([(DENSITY * side * p).sum() / mass]))[0]
    found = order_information(np.array([mean]), np.array([deviation**2]))
    assert found[0] == pytest.approx(told, abs=2e-6)


def test_a_known_order_leaves_nothing_to_tell_however_uncertain_the_distance() -> None:
    near, far = order_information(np.array([0.0, 9.0]), np.array([1.0, 1.0]))
    assert near > 0.05
    assert far < 1e-9
    assert order_information(np.array([0.0]), np.array([0.0]))[0] == pytest.approx(0, abs=1e-12)


def test_the_two_sides_of_a_pair_tell_as_much() -> None:
    mean, variance = np.array([-1.3, 0.2]), np.array([0.5, 2.0])
    assert order_information(mean, variance) == pytest.approx(order_information(-mean, variance))


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 0.0), (1.0, 0.5), (-2.0, 2.0)])
def test_fisher_information_is_the_integral_worked_out_on_a_fine_grid(
    mean: float, deviation: float
) -> None:
    p = sigmoid(mean + deviation * FINE)
    found = expected_weight(np.array([mean]), np.array([deviation**2]))
    assert found[0] == pytest.approx((DENSITY * p * (1 - p)).sum(), abs=1e-5)


def test_the_temperature_of_simulated_judgements_is_found_again() -> None:
    rng = np.random.default_rng(0)
    margins = 5 * rng.standard_normal(20_000)
    answers = (rng.random(20_000) < sigmoid(margins / 2.5)).astype(np.float64)
    assert temperature(margins, answers, usual_temperature(margins)) == pytest.approx(2.5, rel=0.03)


def test_it_is_the_minimum_of_the_stated_sum() -> None:
    margins, p_first, usual = np.array([1.0, -2.0, 0.5]), np.array([1.0, 0.5, 0.0]), 1.4

    def loss(t: float) -> float:
        p = sigmoid(margins / t)
        told = -(p_first * np.log(p) + (1 - p_first) * np.log(1 - p)).sum()
        return float(told + usual / t + math.log(t))

    found = temperature(margins, p_first, usual)
    assert loss(found) <= min(loss(found * 1.001), loss(found / 1.001))


def test_without_judgements_margins_are_divided_by_their_size() -> None:
    nothing: Floats = np.zeros(0)
    assert usual_temperature(np.array([3.0, -4.0])) == pytest.approx(math.sqrt(12.5))
    assert temperature(nothing, nothing, 2.0) == pytest.approx(2.0)
    assert usual_temperature(np.zeros(3)) == usual_temperature(nothing) == 1.0


def test_judgements_that_all_agree_or_all_contradict_give_a_finite_temperature() -> None:
    margins = np.full(50, 2.0)
    agreeing, contrary = (temperature(margins, np.full(50, p), 2.0) for p in (1.0, 0.0))
    assert 0.1 < agreeing < 2.0
    assert 20 < contrary < 1e4
