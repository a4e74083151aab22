import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from beholder.calibration import Calibration, Curve
from beholder.errors import ConfigError
from beholder.training._tuning.calibration import (
    calibrated,
    decided,
    keep_curve,
    kept_curve,
    own_curve,
    pair_margins,
)
from beholder.training._tuning.signal import Signal
from beholder.types import Preference
from tests.calibrations import calibration
from tests.training import toy
from tests.training.pictures_on_disk import plain

STEPS = Curve(knots=(0.0, 1.0, 3.0), levels=(0.5, 0.7, 0.9), tie_threshold=0.4)


def judged(folder: Path) -> list[Preference]:
    """Four pairs with a margin of redness of 0.2; people agree with three."""
    red, grey = plain(folder, (153, 51, 102)), plain(folder)
    pairs = [(red, grey, 1.0), (red, grey, 1.0), (grey, red, 0.0), (grey, red, 1.0)]
    return [
        Preference(key=str(k), prompt="cat", first=a, second=b, p_first={"overall": p, "detail": 0})
        for k, (a, b, p) in enumerate(pairs)
    ]


def test_a_margin_is_the_first_picture_s_score_less_the_second_s(tmp_path: Path) -> None:
    rows = judged(tmp_path)
    missing = Preference(
        key="4", prompt="cat", first=rows[0].first, second="none.png", p_first={"overall": 1.0}
    )
    margins = pair_margins(Signal(toy.Redness()), [*rows, missing])
    redness = 0.5 * (153 - 102) / 255
    assert margins[:4].tolist() == pytest.approx([redness, redness, -redness, -redness])
    assert margins[4].isnan()
    assert pair_margins(Signal(toy.Redness()), []).tolist() == []


def test_a_reward_is_calibrated_on_the_aspect_asked_and_on_pictures_that_can_be_read(
    tmp_path: Path,
) -> None:
    rows = judged(tmp_path)
    missing = Preference(
        key="4", prompt="cat", first="none.png", second=rows[0].first, p_first={"overall": 1.0}
    )
    other = Preference(
        key="5", prompt="cat", first=rows[0].second, second=rows[0].first, p_first={"other": 1.0}
    )
    found = calibrated(Signal(toy.Redness()), [*rows, missing, other], "overall")
    assert found == pytest.approx(0.1 / math.log(3), rel=1e-5)


def signal_of(found: Calibration | None) -> Signal:
    signal = Signal(toy.Redness())
    signal.reward.calibration = found
    return signal


def test_a_reward_with_a_calibration_is_as_sure_as_that_says() -> None:
    assert own_curve(signal_of(calibration(STEPS))) == STEPS
    assert own_curve(signal_of(None)) == Curve()


def test_a_calibration_that_leaves_the_score_out_says_why() -> None:
    signal = signal_of(replace(calibration(STEPS), left_out={"detail": "12 pairs are too few"}))
    signal.aspect = "detail"
    with pytest.raises(ConfigError, match="leaves detail out \\(12 pairs are too few\\); set temp"):
        own_curve(signal)


def test_a_run_goes_on_with_the_curve_that_it_began_with(tmp_path: Path) -> None:
    assert kept_curve(tmp_path) is None
    for curve in (STEPS, Curve(temperature=0.3)):
        assert keep_curve(tmp_path, curve) == kept_curve(tmp_path) == curve
    assert [path.name for path in tmp_path.iterdir()] == ["curve.json"]


def test_a_run_of_an_older_version_goes_on_with_its_curve(tmp_path: Path) -> None:
    for curve in (Curve(temperature=2.0), STEPS):
        kept = {"temperature": 2} if curve.method == "temperature" else asdict(curve)
        (tmp_path / "calibration.json").write_text(json.dumps(kept))
        assert kept_curve(tmp_path) == curve
    keep_curve(tmp_path, Curve(temperature=0.3))
    assert kept_curve(tmp_path) == Curve(temperature=0.3)


@pytest.mark.parametrize(
    "text",
    ["{", "{}", "[1]", '{"temperature": -1}', '{"temperature": null}', calibration().to_json()],
)
def test_a_file_that_holds_no_curve_is_refused_and_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "curve.json").write_text(text)
    with pytest.raises(ConfigError, match=r"curve\.json does not hold the curve"):
        kept_curve(tmp_path)


def test_a_pair_that_the_curve_calls_a_tie_is_even_and_others_are_as_sure_as_it_says() -> None:
    found = decided(STEPS, torch.tensor([1.0, -2.0, 9.0, math.nan]))
    assert found[:3].tolist() == pytest.approx([0.5, 0.2, 0.9])
    assert found[3].isnan()
    assert found.dtype == torch.float32
