import json
import math

import numpy as np
import pytest

from beholder.annotation.agreement import (
    Level,
    agreement,
    krippendorff_alpha,
    percent_agreement,
    wilson,
)
from beholder.annotation.label_studio import parse_export
from beholder.errors import DataError
from tests.annotation.records import comparison, real_tasks

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


def test_each_annotator_is_compared_with_the_others() -> None:
    rows = [comparison("k", "x", 1), comparison("k", "y", 1), comparison("k", "z", 0)]
    rows += [comparison("m", "x", 1), comparison("m", "unknown", 1), comparison("n", "w", 1)]
    found = agreement(rows).annotators
    assert list(found) == ["w", "x", "y", "z"]
    assert found["x"]["overall"].agreement == pytest.approx((0.5 + 1) / 2)
    assert found["z"]["overall"].agreement == 0
    assert found["w"]["overall"].tasks == 0
    assert math.isnan(found["w"]["overall"].agreement)


def test_side_bias_counts_the_shown_side_not_the_canonical_one() -> None:
    rows = [comparison("k", "x", -1), comparison("m", "x", 1), comparison("n", "x", 0)]
    assert agreement(rows).sides["overall"].left.value == 0.5
    bias = agreement(rows, right_first=["m"]).sides["overall"]
    assert (bias.left.value, bias.answers, bias.tasks) == (1.0, 2, 2)


def test_wilson_by_hand() -> None:
    """10 of 10: the low end is n / (n + z^2) = 10 / 13.8415."""
    assert wilson(1.0, 10).low == pytest.approx(10 / (10 + 1.959963984540054**2))
    assert wilson(1.0, 10).high == 1
    assert math.isnan(wilson(math.nan, 0).value)


def test_the_real_export_gives_one_report_of_plain_numbers() -> None:
    rows, _ = parse_export(real_tasks())
    report = agreement(rows)
    assert list(report.aspects) == ["aesthetics", "detail", "alignment", "overall"]
    assert report.aspects["overall"].answers == 26
    assert report.aspects["overall"].tasks == 10
    assert "annotator-1" not in report.annotators, "the ground truth is no annotator's opinion"
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))
