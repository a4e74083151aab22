from pathlib import Path

from beholder._annotate.agreement_tables import agreement_text, rating_agreement_text
from beholder.annotation.trust.agreement import agreement
from beholder.annotation.trust.rating_agreement import rating_agreement
from tests.annotation.samples import comparison
from tests.annotation.trust._agreement.sample import HASTY, pairs, ratings


def test_agreement_is_told_by_aspect_and_by_annotator(tmp_path: Path) -> None:
    rows, sides = pairs(tmp_path)
    report = agreement(rows, sides=sides, overlap_percent=50)
    text = agreement_text(report)
    alpha = report.aspects["overall"].alpha_ordinal
    assert f"{alpha.value:.3f} [{alpha.low:.3f}, {alpha.high:.3f}]" in text
    assert "26 of 39 tasks answered by two or more (67%, 50% were planned)" in text
    (row,) = [line for line in text.splitlines() if line.startswith(HASTY)]
    assert row.split()[-6:] == ["25%", "0%", "+1.00", "100%", "1.3", "98%"]
    assert text.endswith("\n".join(f"    {doubt}" for doubt in report.annotators[HASTY].doubts))
    assert f"to look at:\n  {HASTY}\n    right on gold tasks in 25%" in text


def test_ratings_are_told_with_words_and_places(tmp_path: Path) -> None:
    rows, tasks = ratings(tmp_path)
    report = rating_agreement(rows, tasks=tasks)
    text = rating_agreement_text(report)
    assert f"words           alpha nominal     {report.words.alpha.value:.3f} [" in text
    assert f"{report.points['misalignment'].iou.value:.3f} [" in text
    assert "20 of 20 tasks answered by two or more (100%)" in text
    assert "to look at" not in text


def test_what_is_not_known_is_a_dash() -> None:
    text = agreement_text(agreement([comparison("k", "x", 1)]))
    (row,) = [line for line in text.splitlines() if line.startswith("x ")]
    assert row.split() == ["x", "1", "0", "-", "-", "-", "-", "-", "0%", "-", "-"]
    assert agreement_text(agreement([])) == "no answers\n\n0 of 0 tasks answered by two or more (-)"
    assert rating_agreement_text(rating_agreement([])).startswith("no ratings\n\n")
