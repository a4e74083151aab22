import json
from dataclasses import replace
from pathlib import Path

import pytest

from beholder.annotation.mapping import AnyTask, TaskPicture, TaskSides
from beholder.annotation.project import Project, picture_files, question_data
from beholder.errors import AnnotationError

PAIR = TaskSides(
    task_key="k1",
    image_a="media/a.png",
    image_b="media/b.png",
    left_is="b",
    extra={"prompt": "a fox", "checkpoint_a": "step-1", "source_a": "/out/step-1/0.png"},
)
SINGLE = TaskPicture(task_key="k2", image="media/a.png", extra={"prompt": "a fox"})
ADDRESS = {"a.png": "/at/a.png", "b.png": "/at/b.png"}


def project(folder: Path, **changes: object) -> Project:
    return replace(Project(folder=folder, template="pairwise", title="Foxes"), **changes)  # type: ignore[arg-type]


def test_a_project_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    made = project(tmp_path, number=7, url="http://127.0.0.1:8080")
    made.save()
    assert Project.load(tmp_path) == made


def test_tasks_come_back_in_the_order_of_asking(tmp_path: Path) -> None:
    made = project(tmp_path)
    later = replace(PAIR, task_key="k0")
    made.add_tasks([PAIR])
    made.add_tasks([later])
    found = made.tasks()
    assert list(found) == ["k1", "k0"]
    first = found["k1"]
    assert isinstance(first, TaskSides)
    assert first.image_a == str(tmp_path / "media/a.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mapping.jsonl"]


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (PAIR, {"image_left": "/at/b.png", "image_right": "/at/a.png"}),
        (replace(PAIR, left_is="a"), {"image_left": "/at/a.png", "image_right": "/at/b.png"}),
        (SINGLE, {"image": "/at/a.png"}),
    ],
)
def test_the_server_learns_key_prompt_and_pictures_and_nothing_else(
    task: AnyTask, expected: dict[str, str]
) -> None:
    data = question_data(task, ADDRESS)
    assert data == {"task_key": task.task_key, "prompt": "a fox", **expected}
    assert "step-1" not in json.dumps(data)
    assert set(picture_files(task)) <= set(ADDRESS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "holds list, expected an object"),
        ('{"template": "pairwise", "title": "abc", "uid": "u"}', "no salt"),
        ('{"template": "pairwise", "title": "abc", "uid": "u", "salt": "s", "x": 1}', "unknown x"),
        ('{"template": "ranked", "title": "abc", "uid": "u", "salt": "s"}', "no template 'ranked'"),
        (
            '{"template": "richhf", "title": "abc", "uid": "u", "salt": "s", "annotators": "x"}',
            "a value of the wrong kind",
        ),
    ],
)
def test_damaged_settings_are_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "project.json").write_text(text)
    with pytest.raises(AnnotationError, match=reason):
        Project.load(tmp_path)


def test_a_folder_without_a_project_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"holds no annotation project .* annotate push"):
        Project.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"title": "ab"}, "3 to 50 characters"),
        ({"annotators": 0}, "annotators is 0, expected 1 or more"),
        ({"overlap_percent": 101}, "overlap_percent is 101, expected 0 to 100"),
    ],
)
def test_settings_that_no_server_takes_are_refused(
    changes: dict[str, object], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(AnnotationError, match=reason):
        project(tmp_path, **changes)
