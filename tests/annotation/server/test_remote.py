from dataclasses import replace
from pathlib import Path

import pytest

from beholder.annotation.project import Project
from beholder.annotation.server.remote import (
    check_server,
    delete_unanswered_copies,
    ensure_project,
    uploaded,
)
from beholder.errors import AnnotationError
from tests.annotation.server.memory import Memory


def test_a_project_is_found_by_its_mark_and_brought_up_to_date() -> None:
    memory = Memory()
    connection = memory.connection()
    first = ensure_project(connection, "beholder:u1", "<View/>", {"title": "Foxes"})
    other = ensure_project(connection, "beholder:u2", "<View/>", {"title": "Foxes"})
    again = ensure_project(connection, "beholder:u1", "<View/>", {"title": "Cats"})
    assert (first, other, again) == (1, 2, 1)
    assert memory.projects[1]["title"] == "Cats"


def test_a_server_is_known_again_at_another_address(tmp_path: Path) -> None:
    memory = Memory()
    project = Project(folder=tmp_path, template="pairwise", title="Foxes", url="http://old")
    with pytest.raises(AnnotationError, match="was pushed to http://old; use that server"):
        check_server(replace(project, number=1), memory.connection())
    number = ensure_project(memory.connection(), project.mark, "<View/>", {"title": "Foxes"})
    check_server(replace(project, number=number), memory.connection())


def test_only_tasks_that_nobody_answered_are_deleted() -> None:
    memory = Memory()
    one, two = memory.add_task(1, {}), memory.add_task(1, {})
    memory.answer(two, {"id": 1})
    assert delete_unanswered_copies(memory.connection(), [one, two]) == 1
    assert list(memory.tasks) == [two]


def test_uploads_are_known_by_our_names() -> None:
    memory = Memory(files={3: ["0a1b2c3d-abc.png"]})
    assert uploaded(memory.connection(), 3) == {"abc.png": "/data/upload/3/0a1b2c3d-abc.png"}
