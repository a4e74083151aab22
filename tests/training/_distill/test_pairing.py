import math
from itertools import combinations

import numpy as np
import pytest

from beholder.calibration import Curve
from beholder.training._distill.pairing import (
    all_pairs,
    is_swapped,
    joint_probability,
    most_telling,
    spread,
    sureness,
)


def test_every_pair_is_there_once() -> None:
    assert all_pairs(4).tolist() == [list(pair) for pair in combinations(range(4), 2)]


def test_the_spread_is_the_root_mean_square_of_all_margins_within_groups() -> None:
    groups = [np.array([0.0, 1.0, 3.0]), np.array([10.0, 14.0])]
    margins = [1.0, 3.0, 2.0, 4.0]
    assert spread(groups) == pytest.approx(math.sqrt(sum(m * m for m in margins) / 4))
    assert spread([np.array([2.0, 2.0]), np.array([7.0, 7.0])]) == 0


def test_judges_speak_with_one_voice_the_mean_of_their_probabilities() -> None:
    margins = np.array([[2.0, 1.0], [2.0, -1.0], [0.0, 3.0]])
    p, opposite = joint_probability(margins, [Curve(temperature=2.0), Curve(temperature=1.0)])
    one = 1 / (1 + math.exp(-1))
    assert p == pytest.approx([one, 0.5, (0.5 + 1 / (1 + math.exp(-3))) / 2])
    assert opposite.tolist() == [False, True, False]


def test_a_judge_that_sees_a_tie_disagrees_with_nobody() -> None:
    curves = [Curve(tie_threshold=0.5), Curve()]
    p, opposite = joint_probability(np.array([[0.1, -1.0]]), curves)
    assert not opposite[0]
    assert p[0] == pytest.approx((0.5 + 1 / (1 + math.exp(1))) / 2)


def test_the_most_telling_pairs_lie_evenly_from_the_least_to_the_most_certain() -> None:
    sure = np.array([0.9, 0.1, 0.5, 0.3, 0.7, 0.8])
    assert sorted(sure[most_telling(sure, 3)]) == [0.3, 0.7, 0.9]
    assert len(most_telling(sure, 1)) == 1
    assert most_telling(sure, 10).tolist() == [0, 1, 2, 3, 4, 5]


def test_sureness_is_the_mean_of_the_answers_that_count() -> None:
    answers = [np.array([1.0, 0.5]), np.array([0.5, math.nan])]
    assert sureness(answers).tolist() == [0.5, 0.0]


def test_half_of_the_pairs_stand_the_other_way_round() -> None:
    swapped = [is_swapped(f"a{k}", f"b{k}", 0) for k in range(1000)]
    assert 430 < sum(swapped) < 570
    assert swapped == [is_swapped(f"a{k}", f"b{k}", 0) for k in range(1000)]
