from collections.abc import Mapping
from dataclasses import replace

import pytest

from beholder.annotation.forms import richhf
from beholder.annotation.reading.label_studio import parse_export, parse_tasks
from beholder.annotation.reading.label_studio_export import (
    export_annotation,
    export_rating,
    export_task,
)
from beholder.errors import AnnotationError
from beholder.types import Point
from tests.annotation.samples import (
    ALL_LEFT,
    annotation,
    rated,
    rating,
    rating_task,
    real_ratings,
    real_tasks,
    task,
)

MIXED = {"aesthetics": "left", "detail": "tie", "alignment": "right", "overall": "tie"}


def kinds(record: Mapping[str, object]) -> set[str]:
    return set(record)


def test_the_keys_are_those_of_a_real_export() -> None:
    real, made = real_tasks()[0], task(annotation())
    assert kinds(made) == kinds(real)
    assert kinds(made["data"]) == kinds(real["data"])
    assert kinds(made["annotations"][0]) == kinds(real["annotations"][0])
    assert kinds(made["annotations"][0]["result"][0]) == kinds(real["annotations"][0]["result"][0])


def test_answers_come_back_through_the_parser() -> None:
    made = [
        export_annotation(MIXED, annotator=3, annotation_id=1, seconds=2.5),
        export_annotation({}, annotator=4, annotation_id=2, skipped=True),
        export_annotation({"overall": "left"}, annotator=5, annotation_id=3),
    ]
    rows, report = parse_export([task(*made)])
    assert [row.annotator for row in rows] == ["annotator-3", "annotator-4", "annotator-5"]
    assert rows[0].ranks == {
        "aesthetics": (1, 2),
        "detail": (1, 1),
        "alignment": (2, 1),
        "overall": (1, 1),
    }
    assert rows[0].seconds == 2.5
    assert [row.flags for row in rows] == [frozenset(), {"skipped"}, {"partial"}]
    assert report.problems == ()


def test_the_keys_of_ratings_are_those_of_a_real_export() -> None:
    points = {"implausibility": (Point(0.5, 0.5),)}
    made = rating_task(rated(given=rating(points=points, misaligned=((2, 5),))))
    real = real_ratings()[0]
    assert kinds(made["data"]) == kinds(real["data"])
    ours, theirs = (
        {item["from_name"]: item for item in t["annotations"][0]["result"]} for t in (made, real)
    )
    assert kinds(ours) == kinds(theirs)
    for name, item in ours.items():
        of_screen = {"original_width", "original_height", "image_rotation"}
        assert kinds(item) == kinds(theirs[name]) - of_screen
        assert kinds(item["value"]) == kinds(theirs[name]["value"])


def test_ratings_come_back_through_the_parser() -> None:
    points = {"implausibility": (Point(0.25, 0.5),), "misalignment": (Point(0, 1),)}
    given = rating(points=points, misaligned=((2, 5),), seconds=2.5, annotator="annotator-3")
    answered = export_rating(given, annotator=3, annotation_id=1)
    skipped = export_rating(given, annotator=4, annotation_id=2, skipped=True)
    (back, skip), report = parse_tasks([rating_task(answered, skipped)], richhf.FORM)
    assert back == replace(given, source=back.source)
    assert skip.flags == {"skipped"}
    assert skip.values == {}
    assert report.problems == ()


def test_skips_are_counted_as_the_server_counts_them() -> None:
    skip = export_annotation({}, annotator=4, annotation_id=2, skipped=True)
    made = task(annotation(1), skip)
    assert (made["total_annotations"], made["cancelled_annotations"]) == (1, 1)


def test_every_annotation_has_its_own_name_and_equal_answers_equal_files() -> None:
    names = {export_annotation(ALL_LEFT, annotator=1, annotation_id=n)["unique_id"] for n in (1, 2)}
    assert len(names) == 2
    assert annotation(1) == annotation(1)


def test_what_the_template_cannot_say_is_refused() -> None:
    for answers in ({"beauty": "left"}, {"overall": "up"}):
        with pytest.raises(AnnotationError, match="labels are left, tie, right"):
            export_annotation(answers, annotator=1, annotation_id=1)
    for wrong in (rating(values={"overall": 0.3}), rating(values={"charm": 0.5})):
        with pytest.raises(AnnotationError, match="values are those of 5 stars"):
            export_rating(wrong, annotator=1, annotation_id=1)
    with pytest.raises(AnnotationError, match="kinds are implausibility, misalignment"):
        export_rating(rating(points={"ugly": ()}), annotator=1, annotation_id=1)
    for data in ({"task_key": "k"}, {"task_key": "k", "image": "x"}):
        with pytest.raises(AnnotationError, match=r"data\.prompt"):
            export_task(data, [], task_id=1)
