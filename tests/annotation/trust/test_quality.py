import math

import pytest

from beholder.annotation.joining.answers import answered, counted_answers
from beholder.annotation.mapping import TaskSides
from beholder.annotation.trust.quality import (
    Share,
    consensus_marks,
    gold_marks,
    known_answers,
    left_marks,
    peer_agreement,
    straight_marks,
)
from beholder.types import Comparison
from tests.annotation.samples import comparison

TRUTH = frozenset({"ground_truth"})


def gold(key: str, answer: str, **more: str) -> dict[str, TaskSides]:
    row = {"task_key": key, "image_a": f"{key}-a", "image_b": f"{key}-b", "left_is": "a"}
    return {key: TaskSides.from_row({**row, "gold_overall": answer, **more})}


def judged(rows: list[Comparison], sides: dict[str, TaskSides]) -> dict[str, list[bool]]:
    known = known_answers(answered(rows), sides)
    marks = gold_marks(counted_answers(rows), known)
    return {who: [right for _, right in mine] for who, mine in marks.items()}


def test_a_share_takes_a_task_as_one_observation() -> None:
    found = Share.of([("k", True), ("k", True), ("k", False), ("m", True)])
    assert (found.share.value, found.answers, found.tasks) == (0.75, 4, 2)
    assert math.isnan(Share.of([]).share.value)


def test_each_annotator_is_compared_with_the_others() -> None:
    rows = [comparison("k", "x", 1), comparison("k", "y", 1), comparison("k", "z", 0)]
    rows += [comparison("m", "x", 1), comparison("m", "unknown", 1), comparison("n", "w", 1)]
    found = peer_agreement(counted_answers(rows))
    assert sorted(found) == ["w", "x", "y", "z"]
    assert found["x"].agreement == pytest.approx((0.5 + 1) / 2)
    assert found["z"].agreement == 0
    assert found["w"].tasks == 0
    assert math.isnan(found["w"].agreement)


@pytest.mark.parametrize(("answer", "value"), [("a", -1), ("tie", 0), ("b", 1)])
def test_a_gold_answer_is_right_only_if_it_is_the_same(answer: str, value: int) -> None:
    rows = [comparison("g", f"says {v}", v) for v in (-1, 0, 1)]
    marks = judged(rows, gold("g", answer))
    assert marks == {f"says {v}": [v == value] for v in (-1, 0, 1)}


def test_gold_follows_the_pictures_not_the_order_of_a_record() -> None:
    turned = comparison("g", "x", -1, images=("g-b", "g-a"))
    assert judged([turned], gold("g", "b")) == {"x": [True]}
    assert judged([turned], gold("g", "a")) == {"x": [False]}


def test_an_aspect_without_a_known_answer_is_not_judged() -> None:
    rows = [comparison("g", "x", 1), comparison("k", "x", 1)]
    rows.append(comparison("g", "y", 1, ranks={"detail": (1, 2)}))
    assert judged(rows, gold("g", "b")) == {"x": [True]}


def test_ground_truth_judges_the_others_of_its_task() -> None:
    rows = [comparison("k", "admin", 1, flags=TRUTH)]
    rows += [comparison("k", "x", 1), comparison("k", "y", -1), comparison("m", "x", 1)]
    assert judged(rows, {}) == {"x": [True], "y": [False]}


def test_ground_truth_that_contradicts_itself_or_is_doubtful_is_not_known() -> None:
    other = comparison("k", "chief", -1, flags=TRUTH)
    skipped = comparison("m", "admin", 1, flags=TRUTH | {"skipped"})
    rows = [comparison("k", "admin", 1, flags=TRUTH), other, comparison("k", "x", 1)]
    assert judged([*rows, skipped, comparison("m", "x", 1)], {}) == {}
    assert judged(rows[1:], gold("k", "b")) == {}, "gold and ground truth contradict"
    assert judged(rows[::2], gold("k", "b")) == {"x": [True]}


def test_consensus_is_what_more_than_half_of_two_or_more_others_say() -> None:
    rows = [comparison("k", who, v) for who, v in (("x", 1), ("y", 1), ("z", 0))]
    marks = consensus_marks(counted_answers(rows))
    assert dict(marks) == {"z": [("k", False)]}, "x and y see a split of one to one"
    rows.append(comparison("k", "w", 1))
    marks = consensus_marks(counted_answers(rows))
    assert {who: right for who, ((_, right),) in marks.items()} == {
        "x": True,
        "y": True,
        "w": True,
        "z": False,
    }
    assert consensus_marks(counted_answers(rows[:2])) == {}, "one other is no consensus"


def test_the_left_side_is_where_the_picture_was_shown() -> None:
    rows = [comparison("k", "x", -1), comparison("m", "x", 1), comparison("n", "x", 0)]
    assert left_marks(counted_answers(rows))["x"] == [("k", True), ("m", False)]
    assert left_marks(counted_answers(rows), {"m"})["x"] == [("k", True), ("m", True)]


def test_one_answer_to_every_aspect_is_told_from_several() -> None:
    rows = [
        comparison("k", "x", 1, ranks={"detail": (2, 1), "overall": (2, 1)}),
        comparison("m", "x", 1, ranks={"detail": (2, 1), "overall": (1, 1)}),
        comparison("n", "x", 1),
    ]
    assert straight_marks(counted_answers(rows))["x"] == [("k", True), ("m", False)]
