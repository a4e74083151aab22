from pathlib import Path

from beholder._verbs import training_text as texts
from tests.training._curve.test_page import found


def test_a_calibrated_judge_is_told_as_such() -> None:
    about = {
        "judges": {"vlm\x1b": {}},
        "pairs": {"training": 1, "held_out": 0, "left_out": 5},
        "prompts": 1,
        "curves": {"vlm.total": {"knots": [0.0, 1.0], "temperature": 1.0}},
        "answers": {"overall: sure": 1, "overall: unsure": 0},
        "skipped_rows": {},
    }
    told = texts.distilled_text(about, Path("pairs"))
    assert "\x1b" not in told
    assert "vlm.total: calibrated" in told
    assert "unsure" not in told
    assert "5 pairs left out, by the number of pairs for each prompt" in told


def test_a_curve_is_a_table_and_a_sentence() -> None:
    lines = texts.curve_text(found((0.6, 0.7, 0.8, 0.9))).splitlines()
    assert lines[0].split()[:4] == ["fraction", "run", "pairs", "prompts"]
    assert "0.900 [0.900, 0.900]" in lines[5]
    assert lines[-1].startswith("Twice the data (1,600 pairs) would give about")


def test_a_run_says_what_was_held_out_and_that_it_chose() -> None:
    told = texts.trained_text(
        {"best_step": 20, "steps": 100, "processes": 2, "metrics": {"eval/accuracy": 0.79}}
    )
    assert "accuracy 0.790 after step 20 of 100 on 2 processes" in told
    assert "evaluate on other prompts" in told
    assert "rank correlation 0.5" in texts.trained_text({"metrics": {"eval/srcc": 0.5}})
    assert texts.trained_text({"steps": 3, "metrics": {}}) == "3 steps; nothing was held out"
