"""The best rows are those that sorting by hand gives, and budgets are shared to the last row."""

import random
from fractions import Fraction

import numpy as np
import pytest

from beholder.eval._filter.ranked import beyond, shared


def test_the_best_of_each_group_stay_and_earlier_rows_win_ties() -> None:
    chance = random.Random(1)
    for _ in range(100):
        count, groups = chance.randint(0, 30), 3
        scores = [float(chance.randint(0, 4)) for _ in range(count)]
        members = [chance.randrange(groups) for _ in range(count)]
        quotas = [chance.randint(0, 5) for _ in range(groups)]
        expected = []
        for group in range(groups):
            rows = [k for k in range(count) if members[k] == group]
            rows.sort(key=lambda k: -scores[k])
            expected += rows[quotas[group] :]
        found = beyond(np.array(scores), np.array(members, np.int32), np.array(quotas))
        assert sorted(found.tolist()) == sorted(expected)


@pytest.mark.parametrize(
    ("budget", "weights", "given", "expected"),
    [
        (10, [1, 1, 1], [9, 9, 9], [4, 3, 3]),  # equal remainders: earlier strata
        (10, [6, 3, 1], [99, 99, 99], [6, 3, 1]),
        (7, [5, 3, 1], [99, 99, 99], [4, 2, 1]),  # 3.89, 2.33, 0.78: the largest remainders
        (10, [1, 1, 1], [1, 99, 99], [1, 5, 4]),  # what one lacks goes to the others
        (10, [8, 1, 1], [2, 99, 99], [2, 4, 4]),
        (12, [6, 3, 3], [99, 1, 99], [7, 1, 4]),  # 11 rows by 6 to 3: 7.33 and 3.67
        (100, [1, 1], [3, 4], [3, 4]),
        (5, [1, 1], [0, 9], [0, 5]),
        (5, [], [], []),
    ],
)
def test_shares_of_a_budget_worked_out_by_hand(
    budget: int, weights: list[int], given: list[int], expected: list[int]
) -> None:
    assert shared(budget, weights, given) == expected


def test_shares_add_up_stay_within_what_is_given_and_within_a_row_of_their_part() -> None:
    chance = random.Random(2)
    for _ in range(300):
        size = chance.randint(1, 6)
        weights = [chance.randint(1, 50) for _ in range(size)]
        given = [chance.randint(0, 40) for _ in range(size)]
        budget = chance.randint(1, 150)
        quotas = shared(budget, weights, given)
        assert sum(quotas) == min(budget, sum(given))
        assert all(q <= g for q, g in zip(quotas, given, strict=True))
        free = [k for k in range(size) if quotas[k] < given[k]]
        room, total = sum(quotas[k] for k in free), sum(weights[k] for k in free)
        for k in free:
            part = Fraction(budget * weights[k], sum(weights))
            assert quotas[k] >= part - 1  # nobody gets less than its own part
            if all(given[j] > quotas[j] for j in range(size) if given[j]):
                assert abs(quotas[k] - Fraction(room * weights[k], total)) < 1


def test_billions_of_rows_do_not_overflow() -> None:
    assert shared(5 * 10**9, [3 * 10**9, 7 * 10**9], [4 * 10**9, 7 * 10**9]) == [
        15 * 10**8, 35 * 10**8,
    ]  # fmt: skip
    assert shared(10**18, [10**18, 10**18], [10**18, 10**18]) == [5 * 10**17] * 2
