import json
from pathlib import Path

import pytest

from beholder.annotation.joining.feedback import read_feedback
from beholder.annotation.records.dataset import read_comparisons, read_preferences
from beholder.annotation.sources import convert, load
from beholder.errors import AnnotationError
from tests.annotation.sources.published import (
    picked,
    rich,
    touch,
    write_json,
    write_parquet,
    write_tfrecord,
)


def test_comparisons_become_both_data_sets_and_a_report(tmp_path: Path) -> None:
    rows = [picked(), picked(0.5, 0.5), picked(0.0, 1.0), picked(None, None, has_label=False)]
    write_parquet(tmp_path / "data" / "test_unique-00000-of-00001.parquet", rows)
    out = tmp_path / "out"
    report = convert(load("pickapic", version="v1"), tmp_path, "test_unique", out)
    assert (report.tally.rows, report.tally.records, report.preferences) == (4, 3, 3)
    assert [str(check) for check in report.checks] == ["500 rows expected, 4 found"]
    assert len(read_comparisons(out)) == 3
    assert [p.p_first["overall"] for p in read_preferences(out)] == [1.0, 0.5, 0.0]
    written = json.loads((out / "report.json").read_text())
    assert written == report.as_json()
    assert written["left_out"] == {"the pair has no label": 1}
    assert written["checks"][0]["agrees"] is False
    card = (out / "preferences" / "README.md").read_text()
    assert "`pickapic-v1` (Kirstain et al., NeurIPS 2023, arXiv:2305.01569" in card


def test_a_missing_picture_costs_the_preference_but_not_the_comparison(tmp_path: Path) -> None:
    row = {"prompt": "a fox", "path1": "a.jpg", "path2": "b.jpg"}
    write_json(tmp_path / "test.json", [row, {**row, "path2": "c.jpg"}])
    touch(tmp_path, "a.jpg", "b.jpg")
    report = convert(load("hpdv3"), tmp_path, "test", tmp_path / "out")
    assert (report.tally.records, report.preferences) == (2, 1)
    assert report.tally.notes == {"missing_picture": 1}


def test_feedback_becomes_a_feedback_data_set(tmp_path: Path) -> None:
    write_tfrecord(tmp_path / "dev.tfrecord", [rich("x"), rich("y"), rich("z", overall_score=7.0)])
    report = convert(load("richhf18k"), tmp_path, "dev", tmp_path / "out")
    records = list(read_feedback(tmp_path / "out"))
    assert [r.key for r in records] == ["richhf18k/x", "richhf18k/y"]
    assert records[0].values["alignment"] == 0.75
    assert report.tally.left_out == {"overall_score is not in [0, 1]": 1}
    assert str(report.checks[0]) == "995 rows expected, 3 found"


def test_a_limit_reads_no_further_and_checks_nothing(tmp_path: Path) -> None:
    row = {"prompt": "a fox", "path1": "a.jpg", "path2": "b.jpg"}
    write_json(tmp_path / "test.json", [row] * 10)
    report = convert(load("hpdv3"), tmp_path, "test", tmp_path / "out", limit=3)
    assert (report.tally.rows, report.tally.records, report.checks) == (3, 3, [])


def test_nothing_usable_is_an_error_that_says_why_and_writes_nothing(tmp_path: Path) -> None:
    write_json(tmp_path / "test.json", ["junk", "junk", {}])
    with pytest.raises(
        AnnotationError,
        match=r"hpdv3, test: none of 3 rows gives a record \(2 times the row is no object; 1 times",
    ):
        convert(load("hpdv3"), tmp_path, "test", tmp_path / "out")
    assert not (tmp_path / "out").exists()
