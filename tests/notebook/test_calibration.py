from dataclasses import replace

from beholder.calibration import Curve
from tests.calibrations import calibration


def test_a_calibration_shows_its_curves_and_how_good_they_are() -> None:
    steps = Curve(knots=(0.0, 1.0, 2.0), levels=(0.5, 0.75, 0.875))
    found = calibration(Curve(temperature=0.0375), reference=[0.1] * 900, detail=steps)
    said = repr(replace(found, left_out={"alignment": "no answer"}, reference="kept"))
    assert said.splitlines()[0] == "Calibration, temperature, 150 judged pairs"
    assert "T = 0.0375" in said
    assert "3 steps to 88%" in said
    assert "0.1 [0.09, 0.11]" in said
    assert "alignment has none: no answer" in said
    assert "reference set kept: 900 scores" in said
    assert len(said) < 900, "the scores of the reference set are not listed"


def test_a_notebook_shows_the_same() -> None:
    shown = calibration(Curve(temperature=0.0375))._repr_html_()
    assert shown.startswith('<div class="bh">')
    assert "T = 0.0375" in shown
