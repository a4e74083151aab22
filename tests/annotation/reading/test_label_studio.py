import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from beholder.annotation.forms import pairwise, richhf
from beholder.annotation.forms.form import AnyRecord, Form
from beholder.annotation.joining.answers import DOUBTFUL
from beholder.annotation.mapping import TaskPicture, TaskSides
from beholder.annotation.reading.label_studio import (
    FLAGS,
    ImportReport,
    parse_export,
    parse_tasks,
    read_export,
)
from beholder.errors import AnnotationError
from beholder.types import RATED, Comparison, Point, Rating
from tests.annotation.samples import (
    ALL_LEFT,
    EXPORT,
    RICH_EXPORT,
    annotation,
    rated,
    rating,
    rating_task,
    real_ratings,
    real_tasks,
    task,
)


def only(*annotations: Any) -> Comparison:
    (row,), _ = parse_export([task(*annotations)])
    return row


def check_books(report: ImportReport) -> None:
    assert report.annotations == report.comparisons + report.unreadable + report.superseded


def test_the_real_export_gives_every_annotation_with_its_flags() -> None:
    rows, report = parse_export(read_export(EXPORT))
    assert (report.tasks, report.annotations, report.drafts) == (10, 29, 1)
    assert report.flags == {"skipped": 2, "ground_truth": 1, "unknown_user": 7}
    assert (report.comparisons, report.clean) == (29, 19)
    assert [p.reason for p in report.problems] == ["completed_by names nobody: a deleted user"] * 7
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


def test_the_real_ratings_come_out_with_their_flags() -> None:
    rows, report = parse_tasks(read_export(RICH_EXPORT), richhf.FORM)
    assert (report.template, report.tasks, report.annotations) == ("richhf", 10, 17)
    assert (report.drafts, report.problems) == (1, ())
    assert (report.comparisons, report.clean) == (17, 14)
    assert report.flags == {"skipped": 1, "edited_by_other": 2}
    assert sum(len(places) for row in rows for places in row.points.values()) == 43
    assert sum(len(row.values) for row in rows) == 64
    marked = [row.prompt[start:end] for row in rows for start, end in row.misaligned]
    assert marked == ["newspaper", "宇宙", "café", "green", "wooden", "quoted", "bold"]
    first = rows[0]
    assert (first.key, first.annotator, first.seconds) == ("rich-0000", "annotator-6", 11.354)
    assert first.image == "/data/local-files/?d=gen/0dc45702b79e05eb.png"
    assert first.values == dict(zip(RATED, (0.5, 1.0, 0.0, 0.75), strict=True))
    assert first.points["misalignment"] == (Point(0.5, 0.8003095975232199),)
    assert "example.com" not in repr((rows, report))


MALFORMED: dict[str, tuple[str, dict[str, Any]]] = {
    "no value": ("overall", {"value": None}),
    "expected a whole number": ("overall", {"value": {"rating": 0}}),
    "answered 2 times": ("overall", {"from_name": "alignment"}),
    "unknown control": ("overall", {"from_name": "overal"}),
    "expected percent": ("points", {"value": {"x": 101, "keypointlabels": ["misaligned"]}}),
    "expected one of": ("points", {"value": {"keypointlabels": ["odd"]}}),
    "numbers in order": ("words", {"value": {"start": 5, "end": 2, "labels": ["misaligned_word"]}}),
    "the prompt has": ("words", {"value": {"start": 0, "end": 1, "labels": ["misaligned_word"]}}),
}


@pytest.mark.parametrize("reason", MALFORMED)
def test_a_malformed_rating_is_named_and_does_not_count(reason: str) -> None:
    points = {"misalignment": (Point(0.5, 0.5),)}
    broken = rated(given=rating(points=points, misaligned=((2, 5),)))
    name, changes = MALFORMED[reason]
    (place,) = [item for item in broken["result"] if item["from_name"] == name]
    place |= changes
    (row, good), report = parse_tasks([rating_task(broken, rated(2, annotator=7))], richhf.FORM)
    assert "invalid" in row.flags & DOUBTFUL
    assert good.flags == frozenset()
    assert report.problems[0].task_key == "k"
    assert report.problems[0].record == broken["unique_id"]
    assert any(reason in problem.reason for problem in report.problems)


def test_a_rating_without_all_stars_is_partial_and_one_without_anything_empty() -> None:
    def flags(given: Rating) -> frozenset[str]:
        (row,), _ = parse_tasks([rating_task(rated(given=given))], richhf.FORM)
        return row.flags

    assert flags(rating(values={"overall": 1.0})) == {"partial"}
    assert flags(rating(values={}, misaligned=((2, 5),))) == {"partial"}
    assert flags(rating(values={})) == {"empty"}


def test_answers_to_gold_tasks_and_repeats_are_told_in_both_forms() -> None:
    row = {"task_key": "k", "image_a": "A", "image_b": "B", "left_is": "a", "kind": "gold"}
    (pair,), _ = parse_export([task(annotation())], mapping={"k": TaskSides.from_row(row)})
    assert pair.flags == {"gold"}
    again = TaskPicture.from_row({"task_key": "k", "image": "A", "kind": "repeat", "repeats": "j"})
    (one,), report = parse_tasks([rating_task(rated())], richhf.FORM, mapping={"k": again})
    assert one.flags == {"repeat"}
    assert (report.clean, report.flags) == (0, {"repeat": 1})


def test_the_better_of_two_answers_to_a_gold_task_stays() -> None:
    gold = TaskPicture.from_row({"task_key": "k", "image": "A", "kind": "gold"})
    good = rated(1, updated_at="2026-01-01T00:00:00Z")
    bad = rated(2, updated_at="2026-01-02T00:00:00Z", result=[])
    rows, _ = parse_tasks([rating_task(good, bad)], richhf.FORM, mapping={"k": gold})
    assert [row.flags for row in rows] == [{"gold"}, {"gold", "empty", "duplicate"}]


def test_an_annotation_that_left_the_server_is_kept_as_deleted() -> None:
    gone = annotation(1, beholder_deleted=True, updated_at="2026-02-01T00:00:00Z")
    anew = annotation(2, updated_at="2026-01-01T00:00:00Z")
    rows, report = parse_export([task(gone, anew)])
    assert [row.flags for row in rows] == [{"deleted", "duplicate"}, frozenset()]
    check_books(report)


def test_a_mapping_of_another_form_is_refused() -> None:
    mapping = {"k": TaskPicture.from_row({"task_key": "k", "image": "A"})}
    with pytest.raises(AnnotationError, match="TaskPicture, expected TaskSides"):
        parse_tasks([task(annotation())], pairwise.FORM, mapping=mapping)


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


@pytest.mark.parametrize("form", [pairwise.FORM, richhf.FORM], ids=lambda form: form.name)
def test_no_damage_stops_the_import_or_loses_a_record(form: Form[AnyRecord]) -> None:
    generator = random.Random(0)
    junk = [None, True, -1, 10**400, float("nan"), "", "x", "\ud800", [], ["x"], {}, {"id": "x"}]
    whole = (real_tasks() if form is pairwise.FORM else real_ratings())[:2]
    for _ in range(400):
        tasks = copy.deepcopy(whole)
        for _ in range(generator.randint(1, 4)):
            damage(tasks, generator, junk)
        rows, report = parse_tasks(tasks, form, images_root=Path("/srv"))
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
