"""Laws of the curves, and that a file gives back what was written."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from beholder.calibration import (
    MOST_REFERENCES,
    Calibration,
    Curve,
    Owner,
    certainty,
    quantiles,
    read_calibration,
)
from beholder.errors import DataError
from tests.calibrations import calibration, of_score

STEPS = Curve(knots=(0.0, 1.0, 3.0), levels=(0.5, 0.7, 0.9), tie_threshold=0.4)
CURVES = [Curve(), Curve(temperature=0.01, tie_threshold=0.2), STEPS]


def test_a_temperature_is_the_margin_at_which_people_agree_with_sigmoid_of_one() -> None:
    found = Curve(temperature=3.0).probability(np.array([3.0, 0.0, -6.0]))
    expected = [1 / (1 + math.exp(-x)) for x in (1.0, 0.0, -2.0)]
    assert found.tolist() == pytest.approx(expected)


def test_between_knots_the_curve_is_a_line_and_beyond_them_it_stays() -> None:
    found = STEPS.probability(np.array([0.5, 1.0, 2.0, 3.0, 99.0, -2.0, 0.0]))
    assert found.tolist() == pytest.approx([0.6, 0.7, 0.8, 0.9, 0.9, 0.2, 0.5])


@pytest.mark.parametrize("curve", CURVES)
def test_swapping_the_pictures_swaps_the_probability_and_it_never_falls(curve: Curve) -> None:
    margin = np.linspace(-9, 9, 1001).astype(np.float64)
    found = curve.probability(margin)
    np.testing.assert_allclose(found + curve.probability(-margin), 1, atol=1e-15)
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0
    assert found.max() <= 1
    assert np.isnan(curve.probability(np.array([np.nan]))).all()


def test_a_pair_is_a_tie_up_to_the_threshold() -> None:
    margin = np.array([0.9, 1.0, 1.1, -1.1, 0.0])
    assert STEPS.is_tie(margin).tolist() == [True, True, False, False, True]
    assert STEPS.decided(margin).tolist() == pytest.approx([0.5, 0.5, 0.71, 0.29, 0.5])
    assert certainty(np.array([0.7, 0.3])).tolist() == pytest.approx([0.4, 0.4])


@pytest.mark.parametrize("curve", CURVES)
def test_log_loss_is_that_of_the_stated_probability(curve: Curve) -> None:
    margin, p = np.array([0.01, -0.03, 0.02]), np.array([1.0, 0.25, 0.5])
    q = curve.probability(margin)
    by_hand = -p * np.log(q) - (1 - p) * np.log(1 - q)
    np.testing.assert_allclose(curve.log_loss(margin, p), by_hand)


def test_a_margin_of_a_thousand_costs_a_thousand_and_no_infinity() -> None:
    found = Curve().log_loss(np.array([1000.0, 1000.0]), np.array([0.0, 1.0]))
    assert found.tolist() == [1000.0, 0.0]


def test_a_win_is_the_mean_over_the_reference_set() -> None:
    known = of_score(Curve(temperature=2.0), reference=(-1.0, 0.0, 4.0))
    by_hand = [np.mean([1 / (1 + math.exp(-(s - r) / 2)) for r in (-1, 0, 4)]) for s in (0.5, -3)]
    assert known.win_probability(np.array([0.5, -3.0])).tolist() == pytest.approx(by_hand)


@pytest.mark.parametrize("curve", CURVES)
def test_wins_lie_in_0_to_1_never_fall_and_keep_nan_rows(curve: Curve) -> None:
    reference = tuple(np.random.default_rng(0).normal(size=700).tolist())
    known = of_score(curve, reference)
    scores = np.sort(np.random.default_rng(1).normal(size=4000) * 3)  # more than one chunk
    found = known.win_probability(np.append(scores, np.nan))
    assert (np.diff(found[:-1]) >= 0).all()
    assert found[:-1].min() >= 0
    assert found[:-1].max() <= 1
    assert np.isnan(found[-1])
    assert known.win_probability(np.zeros(0)).tolist() == []


def test_without_a_reference_set_there_is_nothing_to_win_against() -> None:
    with pytest.raises(DataError, match="no reference set"):
        of_score(Curve(), ()).win_probability(np.zeros(1))


def test_a_large_reference_set_is_kept_as_quantiles_and_wins_hardly_change() -> None:
    scores = np.random.default_rng(0).normal(size=20_000)
    kept = quantiles(np.append(scores, [np.nan, np.inf]))
    assert len(kept) == MOST_REFERENCES
    assert list(kept) == sorted(kept)
    asked = np.linspace(-3, 3, 7).astype(np.float64)
    whole = of_score(Curve(), tuple(scores.tolist())).win_probability(asked)
    np.testing.assert_allclose(of_score(Curve(), kept).win_probability(asked), whole, atol=1e-4)
    assert quantiles(np.array([3.0, 1.0])) == (1.0, 3.0)


def test_what_is_written_is_read_back_and_lists_of_numbers_are_one_line(tmp_path: Path) -> None:
    owner = Owner(reward="mps", options={"odd": "[\n 1, 2 ]", "x": [1, [2.5]]}, weights="ab")
    given = replace(
        calibration(STEPS, (0.1, 0.2), detail=Curve(temperature=1e-7)),
        owner=owner,
        left_out={"alignment": "too few"},
    )
    (tmp_path / "c.json").write_text(given.to_json(), encoding="utf-8")
    assert read_calibration(tmp_path / "c.json") == given
    assert '"reference": [0.1, 0.2]' in given.to_json()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "the text: Invalid JSON"),
        ("{}", "is no calibration that `beholder calibrate` wrote: method"),
        (calibration().to_json().replace('"total"', '"detail"'), "needs that of the total"),
        (calibration().to_json().replace('"temperature": 1.0', '"temperature": -1'), "not above 0"),
    ],
)
def test_a_text_that_is_no_calibration_is_refused(text: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        Calibration.from_json(text)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"temperature": 0.0}, "not above 0"),
        ({"tie_threshold": 1.5}, r"not in \[0, 1\]"),
        ({"knots": (0.0, 1.0)}, "one each; got 2 knots and 0 levels"),
        ({"knots": (0.0, 1.0, 0.5), "levels": (0.5, 0.6, 0.7)}, "must grow"),
        ({"knots": (0.0, 1.0), "levels": (0.5, 0.4)}, "must grow"),
        ({"knots": (0.5, 1.0), "levels": (0.5, 0.6)}, "must grow"),
        ({"knots": (0.0, 1.0), "levels": (0.5, 1.1)}, "must grow"),
    ],
)
def test_curves_that_cannot_be_are_refused(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(DataError, match=why):
        Curve(**wrong)  # type: ignore[arg-type]
