import xml.etree.ElementTree as ET
from typing import Any

import pytest

from beholder.annotation.forms.form import Shown
from beholder.annotation.forms.result import Items
from beholder.annotation.forms.richhf import CONTROLS, FORM, LABELS, STARS, WORD
from beholder.annotation.mapping import TaskPicture, TaskSides
from beholder.errors import AnnotationError
from beholder.types import MAPS, RATED, Point, Rating
from tests.annotation.samples import rated, rating

PROMPT = "a red fox"
SHOWN = Shown("k", PROMPT, ("k.png",))
POINT = {"x": 25, "y": 80.5, "width": 1.3, "keypointlabels": ["implausible"]}
SPAN = {"start": 2, "end": 5, "text": "red", "labels": [WORD]}


def item(name: str, value: object) -> Any:
    control = CONTROLS[name]
    return {"from_name": name, "to_name": control.target, "type": control.kind, "value": value}


def read(*items: Any, shown: Shown = SHOWN) -> tuple[Rating, Items]:
    return FORM.read(shown, list(items))


def fault(*items: Any) -> str:
    found, read_items = read(*items)
    assert (found.values, found.points, found.misaligned) == ({}, {}, ())
    (reason,) = read_items.faults
    return reason


def test_the_template_asks_exactly_what_the_reader_knows() -> None:
    root = ET.fromstring(FORM.xml())
    tags = {"keypointlabels": "KeyPointLabels", "labels": "Labels", "rating": "Rating"}
    for name, control in CONTROLS.items():
        (tag,) = root.findall(f".//*[@name='{name}']")
        assert (tag.tag, tag.get("toName")) == (tags[control.kind], control.target)
    assert len(root.findall(".//*[@toName]")) == len(CONTROLS)
    assert {tag.get("maxRating") for tag in root.findall(".//Rating")} == {str(STARS)}
    assert [label.get("value") for label in root.findall(".//Label")] == [*LABELS, WORD]
    assert tuple(LABELS.values()) == MAPS


def test_every_answer_has_a_key_and_all_ratings_must_be_given() -> None:
    root = ET.fromstring(FORM.xml())
    keys = [tag.get("hotkey") for tag in (*root.iter("Label"), *root.iter("Rating"))]
    assert keys == ["a", "s", "d", "1", "2", "3", "4"]
    assert {tag.get("required") for tag in root.iter("Rating")} == {"true"}


def test_the_picture_is_not_centred_because_clicks_beside_it_would_become_points() -> None:
    (image,) = ET.fromstring(FORM.xml()).iter("Image")
    assert image.get("horizontalAlignment") is None


def test_an_answer_becomes_shares_kinds_and_spans() -> None:
    stars = zip(RATED, (1, 2, 3, 5), strict=True)
    other = {**POINT, "x": 0, "y": 100, "keypointlabels": ["misaligned"]}
    found, items = read(
        item("words", {"start": 6, "end": 9, "text": "fox", "labels": [WORD]}),
        item("points", other),
        *(item(aspect, {"rating": n}) for aspect, n in stars),
        item("points", POINT),
        item("words", SPAN),
        item("points", {**POINT, "x": 50}),
    )
    assert found.values == dict(zip(RATED, (0.0, 0.25, 0.5, 1.0), strict=True))
    assert found.points == {
        "implausibility": (Point(0.25, 0.805), Point(0.5, 0.805)),
        "misalignment": (Point(0, 1),),
    }
    assert [PROMPT[start:end] for start, end in found.misaligned] == ["red", "fox"]
    assert not (items.faults or items.missing or items.others or items.prefilled)


def test_points_and_words_may_be_absent_but_ratings_are_missed() -> None:
    assert read(item("overall", {"rating": 3}))[1].missing == list(RATED[:3])
    assert read(item("points", POINT))[1].missing == list(RATED)


@pytest.mark.parametrize("stars", [0, 6, -1, "3", 2.5, 3.0, True, None, [3]])
def test_a_rating_is_a_whole_number_of_stars(stars: object) -> None:
    assert "expected a whole number from 1 to 5" in fault(item("overall", {"rating": stars}))


@pytest.mark.parametrize("name", ["x", "y", "width"])
@pytest.mark.parametrize(
    "percent", [-0.1, 100.1, float("nan"), float("inf"), 10**400, "5", True, None]
)
def test_a_point_lies_in_the_picture(name: str, percent: object) -> None:
    assert f"{name} {percent!r}, expected percent" in fault(
        item("points", {**POINT, name: percent})
    )


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("points", {**POINT, "keypointlabels": ["odd"]}, "expected one of implausible, misaligned"),
        ("points", {**POINT, "keypointlabels": list(LABELS)}, "expected exactly one"),
        ("words", {**SPAN, "labels": []}, "expected exactly one"),
        ("words", {**SPAN, "labels": ["odd"]}, "expected one of misaligned_word"),
        ("overall", None, "no value"),
        ("points", None, "no value"),
    ],
)
def test_an_item_has_one_known_label_and_a_value(name: str, value: object, reason: str) -> None:
    assert reason in fault(item(name, value))


@pytest.mark.parametrize(
    ("start", "end"), [(5, 2), (2, 2), (-1, 5), (2, 10), ("2", 5), (2.0, 5), (True, 5), (None, 5)]
)
def test_a_span_runs_forward_inside_the_prompt(start: object, end: object) -> None:
    reason = fault(item("words", {**SPAN, "start": start, "end": end}))
    assert "expected whole numbers in order within the prompt's 9 characters" in reason


@pytest.mark.parametrize("text", ["fox", "Red", None, 3])
def test_a_span_says_what_the_prompt_says_there(text: object) -> None:
    assert "but the prompt has 'red'" in fault(item("words", {**SPAN, "text": text}))


def test_spans_count_code_points() -> None:
    prompt = "🚀🚀 naïve 猫"
    value = {"start": 3, "end": 8, "text": "naïve", "labels": [WORD]}
    found, items = read(item("words", value), shown=Shown("k", prompt, ("k.png",)))
    assert items.faults == []
    assert prompt[slice(*found.misaligned[0])] == "naïve"


def test_a_rating_given_twice_is_none() -> None:
    twice = item("overall", {"rating": 3})
    assert fault(twice, twice) == "control 'overall' is answered 2 times"


def test_the_mapping_says_where_the_picture_lies() -> None:
    row = TaskPicture.from_row({"task_key": "k", "image": "ours.png"})
    assert read(shown=Shown("k", PROMPT, ("k.png",), row))[0].image == "ours.png"
    assert read()[0].image == "k.png"
    pair = {"task_key": "k", "image_a": "a", "image_b": "b", "left_is": "a"}
    with pytest.raises(AnnotationError, match="TaskSides, expected TaskPicture"):
        read(shown=Shown("k", PROMPT, ("k.png",), TaskSides.from_row(pair)))


def test_what_is_written_is_read_back() -> None:
    points = {"misalignment": (Point(0.125, 0.5), Point(0.25, 0.75))}
    given = rating(points=points, misaligned=((2, 5), (6, 9)), annotator="unknown")
    assert FORM.read(SHOWN, rated(given=given)["result"])[0] == given
