"""p-values against every permutation, and against scipy."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from beholder.eval._ranking import testing as module
from beholder.eval._ranking.cells import by_prompt, layout
from beholder.eval._ranking.testing import (
    SMALLEST,
    _normal_p,
    _rank_sums,
    _strata,
    _variance,
    picture_p,
    prompt_p,
)
from beholder.eval.evaluation_differences import sign_flip_p
from tests.eval._ranking.samples import cells, random_rows, share

SIX = np.array([1.0, 0.75, 0.5, 0.25, 1.0, 1.0])


def test_all_signs_of_a_few_prompts_are_tried() -> None:
    gaps = SIX - 0.5
    sums = [abs(np.dot(signs, gaps)) for signs in product((-1, 1), repeat=len(gaps))]
    exact = np.mean(np.array(sums) >= abs(gaps.sum()) - 1e-12)
    assert prompt_p(SIX, np.full(6, 4)) == pytest.approx(exact)
    found = stats.permutation_test(
        (gaps,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert prompt_p(SIX, np.full(6, 4)) == pytest.approx(found.pvalue)


def test_single_pictures_make_a_sign_test() -> None:
    shares = np.repeat([1.0, 0.0, 0.5], [560, 440, 200])
    exact = stats.binomtest(560, 1000).pvalue
    assert prompt_p(shares, np.ones(1200, dtype=np.int64)) == pytest.approx(exact, rel=1e-6)


def test_unequal_numbers_of_pictures_share_a_grid() -> None:
    rng = np.random.default_rng(0)
    pairs = rng.choice([1, 2, 3, 4, 6, 9], 11)
    shares = np.array([rng.integers(2 * n + 1) / (2 * n) for n in pairs])
    assert prompt_p(shares, pairs) == pytest.approx(sign_flip_p(shares - 0.5))


def test_random_signs_stand_in_where_the_grid_is_too_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    shares, pairs = np.tile(SIX, 4), np.full(24, 4)
    exact = prompt_p(shares, pairs)
    monkeypatch.setattr(module, "_GRID", 8)
    drawn = prompt_p(shares, pairs, flips=20_000)
    assert drawn != exact
    assert drawn == pytest.approx(exact, abs=4 * math.sqrt(exact / 20_000))


def test_no_prompt_no_p_and_no_difference_one() -> None:
    assert math.isnan(prompt_p(np.zeros(0), np.zeros(0, dtype=np.int64)))
    assert prompt_p(np.full(3, 0.5), np.full(3, 4)) == 1.0
    assert prompt_p(np.ones(5000), np.ones(5000, dtype=np.int64)) == SMALLEST


def test_pictures_of_one_prompt_make_a_rank_sum_test() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = rng.normal(size=7), rng.normal(0.8, size=5)
    rows = [("a", "p", x) for x in ours] + [("b", "p", x) for x in theirs]
    exact = stats.mannwhitneyu(ours, theirs, method="exact").pvalue
    assert picture_p(cells(rows), 0, 1) == pytest.approx(exact)
    assert picture_p(cells(rows), 1, 0) == pytest.approx(exact)


@pytest.mark.parametrize("seed", range(4))
def test_pictures_of_several_prompts_are_exchanged_within_each(seed: int) -> None:
    found = cells(random_rows(seed, prompts=3))
    i, j = 0, 2
    sums = []
    options = []
    seen = 0.0
    for prompt in range(3):
        mine = (found.prompt == prompt) & ((found.model == i) | (found.model == j))
        values, first = found.value[mine], found.model[mine] == i
        if first.all() or not first.any():
            continue
        seen += share(values[first], values[~first]) - 0.5
        options.append(
            [
                share(values[list(c)], np.delete(values, list(c))) - 0.5
                for c in combinations(range(len(values)), int(first.sum()))
            ]
        )
    sums = [abs(sum(choice)) for choice in product(*options)]
    exact = np.mean(np.array(sums) >= abs(seen) - 1e-12)
    assert picture_p(found, i, j) == pytest.approx(exact)


def test_the_normal_limit_is_close_for_many_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    rows = [
        (name, p, float(np.round(rng.normal(shift), 1)))
        for p in range(150)
        for name, shift in (("a", 0.0), ("b", 0.25))
        for _ in range(3)
    ]
    exact = picture_p(cells(rows), 0, 1)
    assert 1e-5 < exact < 0.05
    monkeypatch.setattr(module, "_PAIRS", 0)
    assert picture_p(cells(rows), 0, 1) == pytest.approx(exact, rel=0.1)


def test_the_variance_of_a_share_is_that_of_its_distribution() -> None:
    for stratum, _ in _strata(cells(random_rows(3, prompts=9)), 0, 1):
        chance = _rank_sums(stratum)
        value = np.arange(len(chance)) / (2 * stratum.first * stratum.second) - 0.5
        assert chance @ value == pytest.approx(0)
        assert chance @ value**2 == pytest.approx(_variance(stratum))


def test_wins_are_those_of_the_shares() -> None:
    found = cells(random_rows(5, prompts=9))
    sums = by_prompt(layout(found))
    shares = (sums.wins - 0.5)[sums.met[:, 1] > 0, 1]  # a against c
    strata = _strata(found, 0, 2)
    assert [t / (2 * s.first * s.second) for s, t in strata] == pytest.approx(shares.tolist())


def test_equal_pictures_and_unmet_checkpoints() -> None:
    same = cells([(name, "p", 1.0) for name in "aabb"])
    assert picture_p(same, 0, 1) == 1.0
    assert _normal_p(_strata(same, 0, 1)) == 1.0
    apart = cells([("a", "p", 1.0), ("b", "q", 2.0)])
    assert math.isnan(picture_p(apart, 0, 1))
