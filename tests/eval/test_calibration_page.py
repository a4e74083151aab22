from dataclasses import replace
from pathlib import Path

import pytest

from beholder.calibration import Calibration, Curve, Measured, Owner
from beholder.eval.calibration_page import curve_text, summary, told, write_calibration_page
from tests.calibrations import calibration, of_score

STEPS = Curve(knots=(0.0, 1.0, 3.0), levels=(0.5, 0.7, 0.9), tie_threshold=0.4)


def with_gain(low: float, high: float) -> Calibration:
    found = calibration()
    gain = Measured(value=(low + high) / 2, low=low, high=high)
    return replace(found, scores={"total": replace(found.scores["total"], log_loss_gain=gain)})


def test_the_page_shows_every_score_its_figures_and_what_was_left_out(tmp_path: Path) -> None:
    found = replace(
        calibration(STEPS, detail=STEPS),
        left_out={"style": "<12> answered pairs"},
        owner=Owner(reward="tiny", options={}, weights="0123456789abcdef"),
        judgements="judgements/",
    )
    page = write_calibration_page(found, tmp_path / "c.html", name="m<y", commands=["beholder x"])
    text = page.read_text()
    assert "How sure m&lt;y is" in text
    assert text.count('role="img"') == 2
    assert "&lt;12&gt; answered pairs" in text
    for shown in (
        "0123456789ab<",
        '0.010 <span class="range">(0.000 to 0.020)</span>',
        ".exact .range { white-space: nowrap }",
        ".exact td { white-space: normal }",
        "0.400",
        "isotonic, 3 knots",
        "KDD 2002",
    ):
        assert shown in text
    assert "<script" not in text


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.03, "made its probabilities better"),
        (-0.03, -0.01, "made its probabilities worse"),
        (-0.01, 0.01, "cannot be told whether"),
    ],
)
def test_the_summary_claims_no_more_than_the_interval_does(
    low: float, high: float, words: str
) -> None:
    assert words in summary(with_gain(low, high))
    assert "150 pairs of 30 prompts" in summary(with_gain(low, high))


def test_a_number_stands_with_its_interval_and_a_curve_in_few_words() -> None:
    assert (
        told(Measured(value=0.0123, low=-0.001, high=0.02))
        == "0.012 (\N{MINUS SIGN}0.001 to 0.020)"
    )
    assert curve_text(of_score(Curve(temperature=0.12345))) == "T = 0.1235"
    assert curve_text(of_score(STEPS)) == "isotonic, 3 knots, P up to 0.90"
