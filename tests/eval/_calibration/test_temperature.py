import math
from collections.abc import Sequence

import numpy as np
import pytest

from beholder.errors import DataError
from beholder.eval._calibration.temperature import fit_temperature
from tests.eval._calibration.judged import drawn, sigmoid


@pytest.mark.parametrize("temperature", [1e-6, 0.03, 1.0, 20.0, 1e5])
def test_the_temperature_of_exact_probabilities_is_found_to_the_last_digits(
    temperature: float,
) -> None:
    margin = (temperature * np.linspace(-3, 4, 50)).astype(np.float64)
    found = fit_temperature(margin, sigmoid(margin / temperature))
    assert found == pytest.approx(temperature, rel=1e-9)


def test_the_temperature_of_20_000_answers_is_near_the_one_they_were_drawn_with() -> None:
    pairs = drawn(20_000, temperature=2.5, scale=5.0, seed=1)
    assert fit_temperature(pairs.margin, pairs.p_first) == pytest.approx(2.5, rel=0.03)


def test_a_reward_that_is_right_in_three_of_four_equal_margins() -> None:
    margin, answers = np.array([2.0, 2.0, -2.0, 2.0]), np.array([1.0, 1.0, 0.0, 0.0])
    assert fit_temperature(margin, answers) == pytest.approx(2 / math.log(3))


def test_which_picture_came_first_does_not_matter() -> None:
    generator = np.random.default_rng(0)
    margin = generator.normal(size=40)
    p = (generator.random(40) + sigmoid(margin)) / 2
    swap = np.where(np.arange(40) % 2 == 0, 1.0, -1.0)
    swapped = np.where(swap > 0, p, 1 - p)
    assert fit_temperature(swap * margin, swapped) == pytest.approx(fit_temperature(margin, p))


@pytest.mark.parametrize(
    ("margin", "answers", "why"),
    [
        ([1.0, 1.0], [1.0, 0.0], "no probability above 1/2 fits"),
        ([1.0, 2.0], [0.0, 0.2], "no probability above 1/2 fits"),
        ([0.0, 0.0], [1.0, 1.0], "no probability above 1/2 fits"),
        ([], [], "no probability above 1/2 fits"),
        ([1.0, -2.0], [1.0, 0.0], "agrees with people on each of these 2 pairs"),
    ],
)
def test_where_no_temperature_is_the_likeliest_the_error_says_why(
    margin: Sequence[float], answers: Sequence[float], why: str
) -> None:
    with pytest.raises(DataError, match=why):
        fit_temperature(np.array(margin, np.float64), np.array(answers, np.float64))
