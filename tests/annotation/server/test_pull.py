import json
import stat
from pathlib import Path
from typing import Any

import pytest

from beholder.annotation.asking.plan import AskConfig, plan
from beholder.annotation.project import Project
from beholder.annotation.reading.archive import Archive
from beholder.annotation.reading.label_studio_export import export_annotation
from beholder.annotation.records.dataset import read_comparisons
from beholder.annotation.server.pull import pull, read_back
from beholder.annotation.server.push import push
from beholder.errors import AnnotationError
from beholder.inputs import read_inputs
from beholder.types import ASPECTS
from tests.annotation.pictures import save_checkpoints
from tests.annotation.server.memory import Memory


def answered(number: int, person: int | None = 7, label: str = "left") -> dict[str, Any]:
    labels = dict.fromkeys(ASPECTS, label)
    made = export_annotation(labels, annotator=person or 0, annotation_id=number)
    return {**made, "completed_by": person, "updated_by": person}


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def project(tmp_path: Path, memory: Memory) -> Project:
    """Three pairs, on the server."""
    made = Project(folder=tmp_path / "judging", template="pairwise", title="Foxes")
    sources = save_checkpoints(tmp_path / "out", 3, ("early", "late"))
    plan(made, {n: read_inputs(p) for n, p in sources.items()}, AskConfig())
    return push(made, memory.connection(), f"shared:{tmp_path / 'files'}")[0]


def test_answers_come_back_with_their_sides_undone(project: Project, memory: Memory) -> None:
    for number in memory.tasks:
        memory.answer(number, answered(number))
    pulled = pull(project, memory.connection())
    assert (pulled.report.clean, pulled.tasks, pulled.added.new) == (3, {1: 3}, 3)
    for row in read_comparisons(project.folder):
        task = project.tasks()[row.key]
        assert row.ranks["overall"] == ((1, 2) if getattr(task, "left_is") == "a" else (2, 1))  # noqa: B009
        assert all(Path(image).is_file() for image in row.images)


def test_nothing_new_changes_nothing(project: Project, memory: Memory) -> None:
    memory.answer(1, answered(1))
    pull(project, memory.connection())
    before = (project.folder / "report.json").read_bytes()
    pulled = pull(project, memory.connection())
    assert (pulled.added.new, pulled.added.changed) == (0, 0)
    assert (project.folder / "report.json").read_bytes() == before
    assert len(Archive(project.raw).paths()) == 1


def test_a_later_answer_is_found_by_its_time(project: Project, memory: Memory) -> None:
    pull(project, memory.connection())
    memory.clock += 10
    memory.answer(2, answered(1))
    pulled = pull(project, memory.connection())
    assert (pulled.added.changed, pulled.report.clean) == (1, 1)


def test_tasks_of_others_are_counted_and_left_out(project: Project, memory: Memory) -> None:
    memory.answer(memory.add_task(1, {"task_key": "theirs", "prompt": "x"}), answered(1))
    memory.answer(memory.add_task(1, {"prompt": "x"}), answered(2))
    pulled = pull(project, memory.connection())
    assert (pulled.foreign, pulled.report.comparisons) == (2, 0)


@pytest.mark.parametrize("field", ["prompt", "image_left"])
def test_a_task_that_was_changed_on_the_server_is_left_out(
    field: str, project: Project, memory: Memory
) -> None:
    memory.answer(1, answered(1))
    memory.answer(2, answered(2))
    memory.tasks[1]["data"][field] = "another"
    pulled = pull(project, memory.connection())
    assert pulled.report.clean == 1
    (problem,) = pulled.report.problems
    assert "shows another prompt or picture than was asked; its 1 annotations" in problem.reason


def test_people_are_known_to_the_owner_alone(project: Project, memory: Memory) -> None:
    memory.answer(1, answered(1, person=42))
    pull(project, memory.connection())
    path = project.folder / "people.json"
    (row,) = read_comparisons(project.folder)
    assert json.loads(path.read_text()) == {row.annotator: 42}
    assert "42" not in row.annotator
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_user_who_is_deleted_later_is_still_known(project: Project, memory: Memory) -> None:
    memory.answer(1, answered(1, person=42))
    pull(project, memory.connection())
    memory.clock += 10
    memory.tasks[1]["annotations"] = [answered(1, person=None)]
    memory.tasks[1]["updated_at"] = memory.now()
    memory.answer(2, answered(2, person=None))
    pulled = pull(project, memory.connection())
    assert pulled.report.flags == {"unknown_user": 1}
    assert pulled.report.clean == 1


def test_the_archive_is_enough_to_read_back(project: Project, memory: Memory) -> None:
    memory.answer(1, answered(1))
    pulled = pull(project, memory.connection())
    again = read_back(project, Archive(project.raw))
    assert (again.report, again.tasks) == (pulled.report, pulled.tasks)


def test_a_project_that_was_never_pushed_cannot_be_pulled(tmp_path: Path) -> None:
    made = Project(folder=tmp_path, template="pairwise", title="Foxes")
    with pytest.raises(AnnotationError, match="was not pushed yet"):
        pull(made, Memory().connection())


def test_the_numbers_are_plain_json(project: Project, memory: Memory) -> None:
    text = json.dumps(pull(project, memory.connection()).as_json(), allow_nan=False)
    assert json.loads(text)["added"] == {"new": 3, "changed": 0, "same": 0, "gone": 0}
