from typing import Any

import pytest

from beholder.annotation.forms.result import Control, Value, one_label, read_result
from beholder.errors import AnnotationError

CONTROLS = {"mood": Control("choices", "prompt"), "spots": Control("keypoint", "image", many=True)}
MOOD = {"from_name": "mood", "type": "choices", "to_name": "prompt", "value": {"choices": ["gay"]}}
SPOT = {"from_name": "spots", "type": "keypoint", "to_name": "image", "value": {"x": 1}}


def faults(**changes: Any) -> list[str]:
    return read_result([{**MOOD, **changes}], CONTROLS).faults


def test_values_are_given_by_control_in_their_order() -> None:
    items = read_result([SPOT, MOOD, {**SPOT, "value": {"x": 2}}], CONTROLS)
    assert items.values == {"mood": [{"choices": ["gay"]}], "spots": [{"x": 1}, {"x": 2}]}
    assert not (items.faults or items.missing or items.others or items.prefilled)


def test_only_controls_that_need_an_item_are_missed() -> None:
    assert read_result([], CONTROLS).missing == ["mood"]
    assert read_result([{**MOOD, "value": None}], CONTROLS).missing == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"from_name": "mod"}, "unknown control 'mod'; known: mood, spots"),
        ({"from_name": ["mood"]}, "unknown control"),
        ({"type": "rating"}, "type 'rating', expected 'choices'"),
        ({"to_name": "left"}, "to_name 'left', expected 'prompt'"),
        ({"value": None}, "no value"),
        ({"value": ["gay"]}, "no value"),
    ],
)
def test_an_item_that_does_not_fit_its_control_is_one_fault(
    changes: dict[str, Any], reason: str
) -> None:
    (fault,) = faults(**changes)
    assert reason in fault


@pytest.mark.parametrize("item", ["left", None, 3, []])
def test_an_item_that_is_no_object_is_a_fault(item: object) -> None:
    (fault,) = read_result([item], CONTROLS).faults
    assert "expected an object" in fault


def test_two_items_of_a_control_that_takes_one_are_none() -> None:
    items = read_result([MOOD, MOOD, SPOT, SPOT], CONTROLS)
    assert items.faults == ["control 'mood' is answered 2 times"]
    assert set(items.values) == {"spots"}


def test_a_result_that_is_no_list_is_a_fault() -> None:
    items = read_result({"mood": "gay"}, CONTROLS)
    assert items.faults == ["result is dict, expected a list of items"]


def test_a_comment_box_is_told_apart_from_an_unknown_question() -> None:
    comment = {"from_name": "comment", "type": "textarea", "value": {"text": ["hm"]}}
    items = read_result([MOOD, comment], CONTROLS)
    assert (items.others, items.faults) == (["comment"], [])


@pytest.mark.parametrize("origin", ["prediction", "prediction-changed"])
def test_items_that_stem_from_a_prediction_are_told(origin: str) -> None:
    assert read_result([{**MOOD, "origin": origin}], CONTROLS).prefilled
    assert not read_result([{**MOOD, "origin": "manual"}], CONTROLS).prefilled


def test_a_refused_value_is_a_fault_and_the_others_are_still_read() -> None:
    def small(value: Value) -> object:
        if value["x"] == 9:
            raise AnnotationError("x is 9")
        return value["x"]

    items = read_result([SPOT, {**SPOT, "value": {"x": 9}}, SPOT], CONTROLS)
    assert not items.answered
    assert items.read("spots", small) == [1, 1]
    assert items.faults == ["control 'spots': x is 9"]
    assert items.answered
    assert items.read("mood", small) == []


@pytest.mark.parametrize("labels", [["left", "tie"], [], "left", None])
def test_a_label_stands_alone_in_its_list(labels: object) -> None:
    with pytest.raises(AnnotationError, match="expected exactly one"):
        one_label({"choices": labels}, "choices", ("left", "tie"))


@pytest.mark.parametrize("label", ["up", ["left"], 1])
def test_a_label_is_one_of_the_form(label: object) -> None:
    with pytest.raises(AnnotationError, match="expected one of left, tie"):
        one_label({"choices": [label]}, "choices", ("left", "tie"))
