import math

import numpy as np
import pytest

from beholder.annotation.trust.kappa import cohen_kappas, fleiss_kappa

# Fleiss (1971), table 1: six psychiatrists, thirty patients, five diagnoses.
DIAGNOSES = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""
# Fourteen raters, ten subjects, five categories.
FOURTEEN = """
0,0,0,0,14 0,2,6,4,2 0,0,3,5,6 0,3,9,2,0 2,2,8,1,1
7,7,0,0,0 3,2,6,3,0 2,5,3,2,2 6,5,2,1,0 0,2,2,3,7
"""


def units(rows: list[list[int]]) -> list[list[float]]:
    """Counts by category as the values of one unit each."""
    return [[float(k) for k, n in enumerate(row) for _ in range(n)] for row in rows]


PSYCHIATRISTS = units([[int(digit) for digit in row] for row in DIAGNOSES.split()])
RATERS = units([[int(n) for n in row.split(",")] for row in FOURTEEN.split()])


def test_fleiss_kappa_of_the_published_examples() -> None:
    found = fleiss_kappa(PSYCHIATRISTS)
    assert found.kappa.value == pytest.approx(0.43024452006014074, abs=1e-12)  # statsmodels 0.14
    assert (found.raters, found.tasks) == (6, 30)
    assert fleiss_kappa(RATERS).kappa.value == pytest.approx(0.20993070442195522, abs=1e-12)


def test_fleiss_takes_the_tasks_with_the_commonest_number_of_answers() -> None:
    uneven = [*PSYCHIATRISTS, [0.0], [0.0, 1.0], [0.0, 1.0, 2.0]]
    assert fleiss_kappa(uneven) == fleiss_kappa(PSYCHIATRISTS)
    equal = fleiss_kappa([[0, 0], [1, 1], [0, 0, 1], [1, 1, 0]])
    assert (equal.raters, equal.tasks) == (3, 2), "of equally common numbers the larger"


def test_fleiss_is_undefined_without_variation_or_tasks() -> None:
    assert math.isnan(fleiss_kappa([[1, 1], [1, 1]]).kappa.value)
    assert math.isnan(fleiss_kappa([[1], []]).kappa.value)


def test_the_fleiss_interval_narrows_with_the_tasks() -> None:
    few = fleiss_kappa(PSYCHIATRISTS, draws=1000).kappa
    many = fleiss_kappa(PSYCHIATRISTS * 16, draws=1000).kappa
    assert few.low < 0.43 < few.high
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(4, rel=0.15)


def answers(first: list[int], second: list[int]) -> list[dict[str, float]]:
    return [{"x": a, "y": b} for a, b in zip(first, second, strict=True)]


def test_cohens_kappa_by_hand() -> None:
    """x: 0 0 1 1, y: 0 1 1 1: D_o = 1/4, D_e = 1/2 * 3/4 + 1/2 * 1/4 = 1/2; kappa = 1/2."""
    found = cohen_kappas(answers([0, 0, 1, 1], [0, 1, 1, 1]))
    (pair,) = found.pairs
    assert (pair.first, pair.second, pair.tasks) == ("x", "y", 4)
    assert pair.plain.value == pair.linear.value == found.quadratic.value == pytest.approx(0.5)
    assert math.isnan(pair.plain.low), "no draws, no interval"


def test_cohens_kappa_equals_scikit_learn() -> None:
    """Values of scikit-learn 1.9.1, without weights, with linear and with quadratic ones."""
    generator = np.random.default_rng(5)
    truth = generator.integers(-1, 2, 60)
    first = np.where(generator.random(60) < 0.6, truth, generator.integers(-1, 2, 60))
    second = np.where(generator.random(60) < 0.5, truth, generator.integers(-1, 2, 60))
    found = cohen_kappas(answers(first.tolist(), second.tolist()))
    assert found.plain.value == pytest.approx(0.24369747899159677)
    assert found.linear.value == pytest.approx(0.2682926829268293)
    assert found.quadratic.value == pytest.approx(0.2913385826771654)


def test_weights_follow_the_values_even_if_a_level_is_missing() -> None:
    """Ratings without any 3; scikit-learn 1.9.1 with labels 1 to 5."""
    found = cohen_kappas(answers([1, 2, 2, 4, 5, 5, 1, 4], [1, 2, 4, 4, 5, 4, 2, 5]))
    assert found.plain.value == pytest.approx(1 / 3)
    assert found.linear.value == pytest.approx(0.6296296296296297)
    assert found.quadratic.value == pytest.approx(0.8108108108108107)


def test_the_mean_counts_each_pair_by_its_tasks() -> None:
    """x, y agree on 4 tasks, x, z have kappa 0 on 2, y, z never met; z, w always say 1."""
    rows: list[dict[str, float]] = [*answers([0, 1, 0, 1], [0, 1, 0, 1])]
    rows += [{"x": 0, "z": 0}, {"x": 0, "z": 1}, {"z": 1, "w": 1}]
    found = cohen_kappas(rows)
    assert [(p.first, p.second, p.tasks) for p in found.pairs] == [
        ("x", "y", 4),
        ("x", "z", 2),
        ("w", "z", 1),
    ]
    assert [p.plain.value for p in found.pairs[:2]] == [1, 0]
    assert math.isnan(found.pairs[2].plain.value)
    assert found.plain.value == pytest.approx(4 / 6)


def test_people_who_never_met_have_no_kappa() -> None:
    found = cohen_kappas([{"x": 1}, {"y": 1}, {}], draws=10)
    assert found.pairs == ()
    assert math.isnan(found.plain.value)


def test_the_bootstrap_repeats_with_its_seed_and_covers_the_limit() -> None:
    """Equal with 60 % else independent fair coins: kappa is 0.6 in the limit."""
    generator = np.random.default_rng(1)
    covered = 0
    for trial in range(40):
        first = generator.choice([-1, 1], 80)
        second = np.where(generator.random(80) < 0.6, first, generator.choice([-1, 1], 80))
        rows = answers(first.tolist(), second.tolist())
        found = cohen_kappas(rows, draws=200, seed=trial)
        assert found == cohen_kappas(rows, draws=200, seed=trial)
        covered += found.plain.low <= 0.6 <= found.plain.high
    assert covered >= 34
