from pathlib import Path

from beholder import _training_text as texts
from tests.training._curve.test_page import found


def test_a_calibrated_judge_is_told_as_such() -> None:
    about = {
        "judges": {"vlm": {}},
        "pairs": {"training": 1, "held_out": 0},
        "prompts": 1,
        "curves": {"vlm.total": {"knots": [0.0, 1.0], "temperature": 1.0}},
        "answers": {"overall: sure": 1, "overall: unsure": 0},
        "skipped_rows": {},
    }
    told = texts.distilled_text(about, Path("pairs"))
    assert "vlm.total: calibrated" in told
    assert "unsure" not in told


def test_a_curve_is_a_table_and_a_sentence() -> None:
    lines = texts.curve_text(found((0.6, 0.7, 0.8, 0.9))).splitlines()
    assert lines[0].split()[:4] == ["fraction", "run", "pairs", "prompts"]
    assert "0.900 [0.900, 0.900]" in lines[5]
    assert lines[-1].startswith("Twice the data (1,600 pairs) would give about")
