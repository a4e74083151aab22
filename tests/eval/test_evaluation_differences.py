"""Paired differences against brute force and by hand."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
import torch

from beholder.errors import ConfigError, DataError
from beholder.eval.evaluation_differences import (
    Difference,
    differences,
    holm,
    sign_flip_p,
    sign_patterns,
)
from beholder.eval.preference import Counting, score_pairs
from beholder.types import Preference, Scores


class Listed:
    """Scores pictures from a list; a picture without a score is an error."""

    def __init__(self, scores: dict[str, float]) -> None:
        self.known = scores

    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        values = [self.known.get(image, math.nan) for image in images]
        errors = {k: "missing: gone" for k, value in enumerate(values) if math.isnan(value)}
        return Scores(torch.tensor(values), errors=errors)


def pairs(prompts: int, each: int = 1) -> list[Preference]:
    """The first picture of a pair is preferred."""
    return [
        Preference(
            key=f"{k}/{n}",
            prompt=f"prompt {k}",
            first=f"{k}/{n}/a",
            second=f"{k}/{n}/b",
            p_first={"overall": 1.0},
        )
        for k in range(prompts)
        for n in range(each)
    ]


def right_on(said: Sequence[Preference], right: Sequence[bool]) -> Listed:
    scores: dict[str, float] = {}
    for preference, good in zip(said, right, strict=True):
        scores |= {preference.first: float(good), preference.second: 0.5}
    return Listed(scores)


def compared(
    said: list[Preference], rewards: dict[str, Listed], **counting: object
) -> list[Difference]:
    scored = {name: score_pairs(reward, said) for name, reward in rewards.items()}
    return differences(scored, {name: Counting(**counting) for name in rewards})  # type: ignore[arg-type]


def test_a_difference_is_that_of_the_two_accuracies() -> None:
    said = pairs(8, each=2)
    one = right_on(said, [True] * 12 + [False] * 4)
    two = right_on(said, [True, False] * 8)
    (found,) = compared(said, {"one": one, "two": two})
    assert (found.accuracy_first, found.accuracy_second) == (0.75, 0.5)
    assert found.difference == 0.25
    assert (found.pairs, found.prompts) == (16, 8)
    # by prompt one earns 1 more on six and 1 less on two: 2 ** 8 swaps
    expected = np.mean([abs(sum(s)) >= 4 for s in product((-1, 1), repeat=8)])
    assert found.p == pytest.approx(expected)
    assert (found.flips, found.draws, found.seed) == (2**8, 2000, 0)
    assert (found.tie_threshold_first, found.tie_threshold_second) == (None, None)
    assert found.low <= 0.25 <= found.high
    assert found.deviation == pytest.approx(np.std([1, 1, 1, 1, 1, 1, -1, -1], ddof=1) / 2)


def test_many_prompts_are_flipped_at_random_and_the_number_is_told() -> None:
    assert sign_patterns(np.array([1.0, 0.0, -1.0])) == 4
    assert sign_patterns(np.zeros(3)) == 0
    assert sign_patterns(np.ones(13), draws=50) == 51


def test_a_reward_does_not_differ_from_itself() -> None:
    said = pairs(20)
    one = right_on(said, [k % 3 > 0 for k in range(20)])
    (found,) = compared(said, {"one": one, "two": one})
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_pairing_finds_what_two_separate_intervals_would_not() -> None:
    generator = np.random.default_rng(0)
    said = pairs(200)
    one = generator.random(200) < 0.6
    two = one.copy()
    two[np.flatnonzero(one)[:10]] = False  # worse on ten prompts, better on none
    (found,) = compared(
        said, {"one": right_on(said, one.tolist()), "two": right_on(said, two.tolist())}
    )
    assert found.difference == pytest.approx(0.05)
    assert found.low > 0
    assert found.p == pytest.approx(2 / 2**10)
    unpaired = 1.96 * math.sqrt(2 * 0.6 * 0.4 / 200)
    assert unpaired > 0.09


def test_pairs_that_one_of_the_two_cannot_score_count_for_neither() -> None:
    said = pairs(4)
    one = right_on(said, [True] * 4)
    two = right_on(said, [True, True, True, False])
    del two.known["3/0/a"]
    (found,) = compared(said, {"one": one, "two": two})
    assert (found.pairs, found.difference) == (3, 0)


def test_each_reward_has_its_own_tie_threshold() -> None:
    said = pairs(1)
    scores = {
        name: score_pairs(Listed({"0/0/a": 1.0, "0/0/b": 0.0}), said) for name in ("one", "two")
    }
    countings = {
        name: Counting(protocol="pickapic", tie_thresholds={"overall": t})
        for name, t in (("one", 0.0), ("two", 0.5))
    }
    (found,) = differences(scores, countings)
    assert (found.accuracy_first, found.accuracy_second) == (1.0, 0.5)  # tanh(1/2) = 0.46 is a tie


def test_sign_flips_by_hand() -> None:
    assert sign_flip_p(np.array([1.0, 1.0, 1.0])) == 2 / 8
    assert sign_flip_p(np.array([1.0, 0.0, 1.0, 0.0, 1.0])) == 2 / 8
    assert sign_flip_p(np.array([3.0, -1.0])) == 1  # |2| or |4|: all four patterns are as large
    assert sign_flip_p(np.zeros(5)) == 1
    assert math.isnan(sign_flip_p(np.zeros(0)))


def test_random_sign_flips_agree_with_all_of_them() -> None:
    values = np.random.default_rng(1).normal(0.4, 1, 14)
    sums = np.array(list(product((-1, 1), repeat=14))) @ values
    exact = (np.abs(sums) >= abs(values.sum()) - 1e-9).mean()
    error = math.sqrt(exact * (1 - exact) / 10_000)
    assert sign_flip_p(values) == pytest.approx(exact, abs=4 * error)


def test_equal_rewards_are_told_apart_as_seldom_as_alpha_says() -> None:
    generator = np.random.default_rng(2)
    p = np.array([sign_flip_p(generator.normal(size=20), draws=400) for _ in range(400)])
    for alpha in (0.05, 0.2):
        assert (p <= alpha).mean() == pytest.approx(alpha, abs=3 * math.sqrt(alpha / 400))


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.03, 0.04 times 3, 2, 1, and never below the one before
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1, 1]
    corrected = holm([math.nan, 0.01])
    assert math.isnan(corrected[0])
    assert corrected[1] == 0.01


def test_several_rewards_are_corrected_together() -> None:
    said = pairs(10)
    best = right_on(said, [True] * 10)
    worse = right_on(said, [False] * 10)
    same = right_on(said, [True] * 10)
    one, two = compared(said, {"best": best, "worse": worse, "same": same})
    assert (one.second, two.second) == ("worse", "same")
    assert (one.p, one.p_holm) == (2 / 2**10, 2 * 2 / 2**10)
    assert (two.p, two.p_holm) == (1, 1)


def test_what_cannot_be_compared_is_refused() -> None:
    said = pairs(2)
    scored = score_pairs(right_on(said, [True, True]), said)
    other = score_pairs(right_on(said, [True, True]), said[:1])
    one = Counting()
    with pytest.raises(ConfigError, match="two rewards or more"):
        differences({"a": scored}, {"a": one})
    with pytest.raises(
        ConfigError, match="two protocols cannot be compared, got hpdv2, imagereward"
    ):
        differences({"a": scored, "b": scored}, {"a": one, "b": Counting(protocol="hpdv2")})
    with pytest.raises(DataError, match="different preferences"):
        differences({"a": scored, "b": other}, {"a": one, "b": one})
