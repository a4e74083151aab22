import json
import random
from pathlib import Path
from typing import Any

import pytest

from beholder.annotation.label_studio import FLAGS, ImportReport, parse_export, read_export
from beholder.annotation.mapping import TaskSides
from beholder.errors import AnnotationError
from beholder.types import Comparison
from tests.annotation.records import ALL_LEFT, EXPORT, annotation, real_tasks, task


def only(*annotations: Any) -> Comparison:
    (row,), _ = parse_export([task(*annotations)])
    return row


def check_books(report: ImportReport) -> None:
    assert report.annotations == report.comparisons + report.unreadable + report.superseded


def test_the_real_export_gives_every_annotation_with_its_flags() -> None:
    rows, report = parse_export(read_export(EXPORT))
    assert (report.tasks, report.annotations, report.drafts) == (10, 29, 1)
    assert report.flags == {"skipped": 2, "ground_truth": 1, "unknown_user": 7}
    assert (report.comparisons, report.clean, report.problems) == (29, 19, ())
    first = rows[0]
    assert first.key == "pair-0000"
    assert first.annotator == "annotator-6"
    assert first.seconds == 8.338
    assert first.source == "label_studio:7c3198dd-ed85-4d1c-99ce-ab45c4cf13fd"
    assert first.images[0].endswith("b8318f64d7749669.png")
    assert first.ranks == {
        "aesthetics": (1, 2),
        "detail": (1, 1),
        "alignment": (2, 1),
        "overall": (1, 1),
    }


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({}, set()),
        ({"was_cancelled": True, "result": []}, {"skipped"}),
        ({"ground_truth": True}, {"ground_truth"}),
        ({"parent_prediction": 4}, {"prefilled"}),
        ({"updated_by": 7}, {"edited_by_other"}),
        ({"updated_by": None}, set()),
        ({"completed_by": None, "updated_by": None}, {"unknown_user"}),
        ({"completed_by": None, "updated_by": 7}, {"unknown_user", "edited_by_other"}),
        ({"completed_by": {"id": 6, "email": "x@example.com"}}, set()),
        ({"completed_by": "x@example.com", "updated_by": None}, {"unknown_user"}),
        ({"result": []}, {"empty"}),
        ({"result": None}, {"invalid"}),
        ({"result": [{"from_name": "overall"}]}, {"invalid"}),
    ],
)
def test_each_doubt_has_its_flag(changes: dict[str, Any], flags: set[str]) -> None:
    row = only(annotation(**changes))
    assert row.flags == flags
    assert "example.com" not in repr(row)


def test_answers_to_some_aspects_are_kept_as_partial() -> None:
    row = only(annotation(answers={"overall": "right"}))
    assert row.ranks == {"overall": (2, 1)}
    assert row.flags == {"partial"}


def test_a_prefilled_answer_is_known_by_its_origin() -> None:
    one = annotation()
    one["result"][2]["origin"] = "prediction-changed"
    assert only(one).flags == {"prefilled"}


def test_of_two_answers_of_one_annotator_the_latest_clean_one_stays() -> None:
    first = annotation(1, updated_at="2026-01-01T00:00:00Z")
    second = annotation(2, updated_at="2026-01-02T00:00:00Z")
    skipped = annotation(3, updated_at="2026-01-03T00:00:00Z", was_cancelled=True, result=[])
    other = annotation(4, annotator=7)
    rows, report = parse_export([task(first, second, skipped), task(other, number=2)])
    assert [row.flags for row in rows] == [
        {"duplicate"},
        frozenset(),
        {"skipped", "duplicate"},
        frozenset(),
    ]
    check_books(report)


def test_two_lost_annotators_are_not_taken_for_one() -> None:
    lost: dict[str, Any] = {"completed_by": None, "updated_by": None}
    rows, _ = parse_export([task(annotation(1, **lost), annotation(2, **lost))])
    assert [row.flags for row in rows] == [{"unknown_user"}] * 2
    assert {row.annotator for row in rows} == {"unknown"}


def test_exports_that_overlap_count_an_annotation_once_in_its_latest_version() -> None:
    changed = real_tasks()
    latest = changed[0]["annotations"][0]
    latest |= {"updated_at": "2027-01-01T00:00:00Z", "updated_by": 9}
    rows, report = parse_export([*changed, *real_tasks()])
    assert (report.comparisons, report.superseded) == (29, 29)
    assert sum("edited_by_other" in row.flags for row in rows) == 1
    check_books(report)


def test_the_side_swap_is_undone() -> None:
    def asked(left_is: str) -> Comparison:
        row = {"task_key": "k", "image_a": "A.png", "image_b": "B.png", "left_is": left_is}
        mapping = {"k": TaskSides.from_row(row)}
        answers = {**ALL_LEFT, "detail": "tie"}
        (found,), report = parse_export([task(annotation(answers=answers))], mapping=mapping)
        assert report.problems == ()
        return found

    straight, swapped = asked("a"), asked("b")
    assert straight.images == swapped.images == ("A.png", "B.png")
    assert (straight.ranks["overall"], swapped.ranks["overall"]) == ((1, 2), (2, 1))
    assert straight.ranks["detail"] == swapped.ranks["detail"] == (1, 1)


def test_a_task_that_the_mapping_forgot_keeps_its_sides_and_is_reported() -> None:
    (row,), report = parse_export([task(annotation())], mapping={})
    assert row.images == ("l.png", "r.png")
    assert [problem.task_key for problem in report.problems] == ["k"]


def test_a_salt_hides_who_answered_but_not_that_it_was_the_same_person() -> None:
    def people(salt: str | None) -> set[str]:
        rows, _ = parse_export(real_tasks(), salt=salt)
        return {row.annotator for row in rows}

    assert people(None) == {"annotator-1", "annotator-6", "annotator-7", "annotator-8", "unknown"}
    assert len(people("a")) == 5
    assert people("a") & people("b") == people("a") & people(None) == {"unknown"}


@pytest.mark.parametrize("name", ["task_key", "prompt", "image_left", "image_right"])
def test_a_task_without_its_data_is_reported_with_its_answers(name: str) -> None:
    tasks = real_tasks()
    del tasks[0]["data"][name]
    rows, report = parse_export(tasks)
    assert (len(rows), report.unreadable) == (25, 4)
    assert name in report.problems[0].reason
    assert report.problems[0].task_key == ("" if name == "task_key" else "pair-0000")
    check_books(report)


def test_text_that_is_not_unicode_never_reaches_a_row() -> None:
    tasks = real_tasks()
    tasks[0]["data"]["prompt"] = "\ud800"
    _, report = parse_export(tasks)
    assert report.unreadable == 4
    assert "surrogate" in report.problems[0].reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 200_000, "not JSON"),
        ('{"tasks": []}', "of type dict, expected a list"),
        ('[{"id": 1, "overall": "left"}]', "not JSON-MIN"),
    ],
)
def test_a_file_that_is_no_export_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(AnnotationError, match=reason):
        read_export(tmp_path / "x.json")


def test_no_damage_stops_the_import_or_loses_a_record() -> None:
    generator = random.Random(0)
    junk = [None, True, -1, 10**400, float("nan"), "", "x", "\ud800", [], ["x"], {}, {"id": "x"}]
    for _ in range(400):
        tasks = real_tasks()[:2]
        for _ in range(generator.randint(1, 4)):
            damage(tasks, generator, junk)
        rows, report = parse_export(tasks, images_root=Path("/srv"))
        check_books(report)
        assert len(rows) == report.comparisons
        assert report.flags.keys() <= set(FLAGS)
        lost = report.unreadable > 0 or report.flags.get("invalid", 0) > 0
        assert not lost or report.problems
        json.dumps(report.as_json())


def damage(node: Any, generator: random.Random, junk: list[Any]) -> None:
    """Replace or drop one value somewhere below."""
    while node:
        place = generator.choice(list(node) if isinstance(node, dict) else range(len(node)))
        inside = node[place]
        if isinstance(inside, dict | list) and inside and generator.random() < 0.9:
            node = inside
        elif generator.random() < 0.3:
            del node[place]
            return
        else:
            node[place] = generator.choice(junk)
            return
