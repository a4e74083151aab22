import math

import pytest
import torch

from beholder.errors import DataError
from beholder.eval.report import (
    AccuracyRow,
    Disagreement,
    ExplainedPicture,
    FilterSummary,
    PictureFeedback,
    RankRow,
    Report,
    ScoredPicture,
)


@pytest.mark.parametrize("accuracy", [-0.1, 1.01, math.nan])
def test_an_accuracy_outside_0_to_1_is_refused(accuracy: float) -> None:
    with pytest.raises(DataError, match=r"'MPS' for detail is .*expected \[0, 1\]"):
        AccuracyRow(aspect="detail", method="MPS", accuracy=accuracy, low=0, high=1, pairs=3)


def test_a_strength_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="strength of 'a'"):
        RankRow(name="a", strength=math.inf, low=0.0, high=1.0)


def test_a_gap_is_the_distance_between_people_and_model() -> None:
    pair = Disagreement(
        prompt="p",
        first="a",
        second="b",
        people={"detail": 0.9, "overall": 0.5, "alignment": 0.2},
        model={"detail": 0.3, "overall": 0.0},
    )
    assert pair.gap("detail") == pytest.approx(0.6)
    assert pair.gap("overall") == 0, "people are undecided"
    assert pair.gap("alignment") == 0, "the model has no opinion"
    assert pair.gap("aesthetics") == 0, "nobody was asked"
    assert pair.widest_gap == pytest.approx(0.6)


def test_a_score_is_looked_up_by_aspect_or_total() -> None:
    picture = ScoredPicture(image="a", prompt="", total=2.0, aspects={"detail": 1.0})
    assert picture.score("total") == 2
    assert picture.score("detail") == 1
    assert math.isnan(picture.score("alignment"))


def test_every_drawing_of_a_report_is_counted() -> None:
    picture = ScoredPicture(image="a", prompt="", total=1.0)
    report = Report(
        title="t",
        best=[picture],
        filtered=FilterSummary(rule="r", kept=1, dropped=1, barely_dropped=[picture]),
        disagreements=[Disagreement(prompt="", first="b", second="c", people={}, model={})],
        explanations=[ExplainedPicture(image="d", prompt="", explanations=[])],
        feedback=[PictureFeedback(image="e", prompt="", maps={"misalignment": torch.zeros(2, 2)})],
    )
    assert list(report.images()) == ["a", "a", "b", "c", "d", "e", "e"]
