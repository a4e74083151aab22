import math

import numpy as np
import pytest

from beholder.annotation.trust.alpha import (
    Level,
    krippendorff_alpha,
    percent_agreement,
    value_counts,
)
from beholder.errors import DataError

# Krippendorff (2011), section C: four observers, twelve units, 0 is missing.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]
UNITS = [[value for value in unit if value] for unit in zip(*OBSERVERS, strict=True)]


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_of_the_published_example(level: Level, published: float) -> None:
    assert krippendorff_alpha(UNITS, level).value == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize(
    ("level", "reference"),
    [
        ("nominal", 0.3688888888888888),
        ("ordinal", 0.34842414600271643),
        ("interval", 0.33931313131313134),
    ],
)
def test_alpha_equals_the_krippendorff_package(level: Level, reference: float) -> None:
    """Values of krippendorff 0.9.0 on 40 tasks of left, tie, right with a quarter missing."""
    generator = np.random.default_rng(5)
    truth = generator.integers(-1, 2, 40)
    guessed = generator.random((4, 40)) < 0.6
    answers = np.where(guessed, truth, generator.integers(-1, 2, (4, 40))).astype(float)
    answers[generator.random((4, 40)) < 0.25] = np.nan
    units = [unit[np.isfinite(unit)].tolist() for unit in answers.T]
    assert krippendorff_alpha(units, level).value == pytest.approx(reference, abs=1e-12)


def test_alpha_is_one_for_agreement_and_undefined_without_variation() -> None:
    assert krippendorff_alpha([[-1, -1], [1, 1, 1]]).value == 1
    assert math.isnan(krippendorff_alpha([[1, 1], [1, 1]]).value)
    assert math.isnan(krippendorff_alpha([[1], [0]], draws=10).value)
    assert math.isnan(krippendorff_alpha([]).value)
    with pytest.raises(DataError, match="finite"):
        krippendorff_alpha([[math.nan, 1]])


def test_alpha_by_hand() -> None:
    """LL, LR: coincidences LL 2, LR 1, RL 1; n = 4; D_o = 2, D_e = 2 * 3 * 1 / 3; alpha = 0."""
    assert krippendorff_alpha([[-1, -1], [-1, 1]]).value == pytest.approx(0)


def test_the_bootstrap_repeats_with_its_seed_and_covers_what_it_should() -> None:
    """Pairs of answers equal with 70 % else independent fair coins: alpha is 0.7 in the limit."""
    generator = np.random.default_rng(0)
    covered = 0
    for trial in range(60):
        first = generator.choice([-1, 1], 80)
        second = np.where(generator.random(80) < 0.7, first, generator.choice([-1, 1], 80))
        units = np.stack([first, second], 1).tolist()
        found = krippendorff_alpha(units, draws=300, seed=trial)
        assert found == krippendorff_alpha(units, draws=300, seed=trial)
        covered += found.low <= 0.7 <= found.high
    assert covered >= 50


def test_percent_agreement_by_hand() -> None:
    """Two of three agree: 1 of 3 pairs; both agree: 1; alone: not counted."""
    assert percent_agreement([[1, 1, 0], [0, 0], [1]]) == pytest.approx((1 / 3 + 1) / 2)
    assert math.isnan(percent_agreement([[1]]))


def test_values_are_counted_by_unit() -> None:
    values, counts = value_counts([[2, 1, 2], [3]])
    assert values.tolist() == [1, 2, 3]
    assert counts.tolist() == [[1, 2, 0], [0, 0, 1]]


def test_units_of_one_task_are_drawn_together() -> None:
    """Eight tasks of 50 equal units each are eight observations, not four hundred."""
    units = [[n % 2, 0 if n == 3 else n % 2] for n in range(8) for _ in range(50)]
    tasks = [n for n in range(8) for _ in range(50)]
    alone = krippendorff_alpha(units, draws=500)
    together = krippendorff_alpha(units, tasks=tasks, draws=500)
    assert together.value == alone.value
    assert together.high - together.low > 4 * (alone.high - alone.low)
    each = krippendorff_alpha(units, tasks=list(range(400)), draws=500)
    assert each.high - each.low == pytest.approx(alone.high - alone.low, abs=0.02)
