import xml.etree.ElementTree as ET
from typing import Any

import pytest

from beholder.annotation.pairwise import CONTROLS, RANKS, read_item, read_result, template
from beholder.errors import AnnotationError
from beholder.types import ASPECTS
from tests.annotation.records import annotation


def item(**changes: Any) -> Any:
    return {**annotation()["result"][0], **changes}


def test_the_template_asks_exactly_what_the_reader_knows() -> None:
    choices = ET.fromstring(template()).findall(".//Choices")
    assert [c.get("name") for c in choices] == list(CONTROLS)
    assert {c.get("toName") for c in choices} == {"prompt"}
    for control in choices:
        assert [choice.get("alias") for choice in control] == list(RANKS)
    assert tuple(CONTROLS.values()) == ASPECTS


def test_four_answers_are_read_under_the_names_of_the_aspects() -> None:
    answers = {"aesthetics": "left", "detail": "tie", "alignment": "right", "overall": "tie"}
    read = read_result(annotation(answers=answers)["result"])
    assert read.labels == answers
    assert not (read.missing or read.faults or read.others or read.prefilled)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("left", "is str"),
        (None, "is null"),
        (item(from_name="overal"), "unknown control 'overal'"),
        (item(from_name=["overall"]), "unknown control"),
        (item(type="rating"), "type 'rating', expected 'choices'"),
        (item(to_name="left"), "to_name 'left', expected 'prompt'"),
        (item(value=None), "no value"),
        ({k: v for k, v in item().items() if k != "value"}, "no value"),
        (item(value={"choices": ["left", "tie"]}), "expected exactly one"),
        (item(value={"choices": []}), "expected exactly one"),
        (item(value={"choices": "left"}), "expected exactly one"),
        (item(value={"choices": ["up"]}), "label 'up', expected one of left, tie, right"),
        (item(value={"choices": [["left"]]}), "expected one of"),
    ],
)
def test_an_item_that_is_not_one_known_label_says_why(broken: object, reason: str) -> None:
    with pytest.raises(AnnotationError, match=reason):
        read_item(broken)


def test_a_fault_costs_only_its_own_aspect() -> None:
    result = annotation()["result"]
    result[1]["value"] = {"choices": ["up"]}
    read = read_result(result)
    assert set(read.labels) == {"aesthetics", "alignment", "overall"}
    assert len(read.faults) == 1
    assert read.missing == []


def test_a_control_answered_twice_has_no_answer() -> None:
    result = annotation()["result"]
    read = read_result([*result, result[0]])
    assert "aesthetics" not in read.labels
    assert read.faults == ["control 'aesthetics' is answered 2 times"]


def test_a_comment_box_is_told_apart_from_an_unknown_question() -> None:
    comment = item(from_name="comment", type="textarea", value={"text": ["hm"]})
    read = read_result([*annotation()["result"], comment])
    assert len(read.labels) == 4
    assert read.others == ["comment"]
    assert read.faults == []


@pytest.mark.parametrize("origin", ["prediction", "prediction-changed"])
def test_answers_that_stem_from_a_prediction_are_told(origin: str) -> None:
    assert read_result([item(origin=origin)]).prefilled
    assert not read_result([item(origin="manual")]).prefilled


def test_a_result_that_is_no_list_is_a_fault() -> None:
    assert read_result({"overall": "left"}).faults == ["result is dict, expected a list of items"]
