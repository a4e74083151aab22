import xml.etree.ElementTree as ET
from typing import Any

import pytest

from beholder.annotation.forms.form import Shown
from beholder.annotation.forms.pairwise import CONTROLS, FORM, RANKS
from beholder.annotation.forms.result import Items
from beholder.annotation.mapping import TaskPicture, TaskSides
from beholder.errors import AnnotationError
from beholder.types import ASPECTS, Comparison
from tests.annotation.samples import annotation

SHOWN = Shown("k", "a fox", ("l.png", "r.png"))
MIXED = {"aesthetics": "left", "detail": "tie", "alignment": "right", "overall": "tie"}


def read(result: object, shown: Shown = SHOWN) -> tuple[Comparison, Items]:
    return FORM.read(shown, result)


def sides(left_is: str) -> Shown:
    row = {"task_key": "k", "image_a": "A.png", "image_b": "B.png", "left_is": left_is}
    return Shown("k", "a fox", ("l.png", "r.png"), TaskSides.from_row(row))


def test_the_template_asks_exactly_what_the_reader_knows() -> None:
    choices = ET.fromstring(FORM.xml()).findall(".//Choices")
    assert [c.get("name") for c in choices] == list(CONTROLS)
    assert {c.get("toName") for c in choices} == {"prompt"}
    for control in choices:
        assert [choice.get("alias") for choice in control] == list(RANKS)
    assert tuple(CONTROLS.values()) == ASPECTS


def test_four_answers_are_ranks_under_the_names_of_the_aspects() -> None:
    comparison, items = read(annotation(answers=MIXED)["result"])
    assert comparison.ranks == {
        "aesthetics": (1, 2),
        "detail": (1, 1),
        "alignment": (2, 1),
        "overall": (1, 1),
    }
    assert comparison.images == ("l.png", "r.png")
    assert not (items.missing or items.faults or items.others or items.prefilled)


def test_the_side_swap_is_undone() -> None:
    result = annotation(answers=MIXED)["result"]
    straight, swapped = read(result, sides("a"))[0], read(result, sides("b"))[0]
    assert straight.images == swapped.images == ("A.png", "B.png")
    assert [c.ranks["aesthetics"] for c in (straight, swapped)] == [(1, 2), (2, 1)]
    assert [c.ranks["overall"] for c in (straight, swapped)] == [(1, 1), (1, 1)]


@pytest.mark.parametrize(
    "value", [None, {}, {"choices": ["up"]}, {"choices": ["left", "tie"]}, {"choices": []}]
)
def test_a_fault_costs_only_its_own_aspect(value: object) -> None:
    result: Any = annotation()["result"]
    result[1]["value"] = value
    comparison, items = read(result)
    assert set(comparison.ranks) == {"aesthetics", "alignment", "overall"}
    assert len(items.faults) == 1
    assert "'detail_quality'" in items.faults[0]
    assert items.missing == []


def test_a_mapping_of_another_form_is_refused() -> None:
    row = TaskPicture.from_row({"task_key": "k", "image": "x.png"})
    with pytest.raises(AnnotationError, match="TaskPicture, expected TaskSides"):
        read([], Shown("k", "a fox", ("l.png", "r.png"), row))
