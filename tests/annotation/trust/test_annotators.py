import math
from pathlib import Path

import pytest

from beholder.annotation.joining.answers import answered
from beholder.annotation.trust.annotators import AnnotatorReport, Evidence, right_first
from tests.annotation.samples import comparison
from tests.annotation.trust._agreement.sample import HASTY, PEOPLE, pairs


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, AnnotatorReport]:
    rows, sides = pairs(tmp_path_factory.mktemp("pictures"), tasks=240)
    return Evidence.of(list(answered(rows)), sides).annotators()


def test_who_answers_better_scores_better_by_every_measure(
    found: dict[str, AnnotatorReport],
) -> None:
    best, worst = next(iter(PEOPLE)), HASTY
    assert list(found) == sorted(PEOPLE)
    for measure in ("gold", "consensus"):
        assert getattr(found[best], measure).share.low > getattr(found[worst], measure).share.high
    assert found[best].others > found[worst].others
    assert found[best].retest.same.value > 0.7


def test_who_clicks_left_at_once_is_doubted_for_each_reason(
    found: dict[str, AnnotatorReport],
) -> None:
    hasty = found[HASTY]
    assert hasty.left.share.value == hasty.straight.share.value == hasty.retest.bias.value == 1
    assert hasty.retest.same.value == 0
    assert [doubt.partition(" in ")[0] for doubt in hasty.doubts] == [
        "right on gold tasks",
        "agrees with most of the others",
        "same answer to mirrored repeats",
        "left minus right",
        "prefers the left picture",
        "too fast",
        "same answer to every aspect",
    ]
    assert all(found[name].doubts == () for name in PEOPLE if name != HASTY)


def test_who_answered_only_gold_tasks_has_a_report_too() -> None:
    rows = [comparison("g", "x", 1, flags=frozenset({"gold"}), seconds=4.0)]
    (report,) = Evidence.of(list(answered(rows)), {}).annotators().values()
    assert (report.tasks, report.shared, report.peers) == (0, 0, {})
    assert math.isnan(report.others)
    assert report.speed.seconds == 4


def test_the_ground_truth_is_no_annotators_opinion() -> None:
    truth = comparison("k", "admin", 1, flags=frozenset({"ground_truth"}))
    found = Evidence.of(list(answered([truth, comparison("k", "x", -1)])), {}).annotators()
    assert list(found) == ["x"]
    assert (found["x"].gold.share.value, found["x"].shared) == (0, 0)


def test_the_swapped_tasks_are_those_with_b_on_the_left(tmp_path: Path) -> None:
    _, sides = pairs(tmp_path, tasks=8)
    assert right_first(sides) == {key for key, task in sides.items() if task.left_is == "b"}
