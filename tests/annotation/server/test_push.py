from dataclasses import replace
from pathlib import Path

import pytest

from beholder.annotation.asking.plan import AskConfig, plan
from beholder.annotation.project import Project
from beholder.annotation.server import push as pushing
from beholder.annotation.server.push import Pushed, push
from beholder.errors import AnnotationError
from beholder.inputs import read_inputs
from tests.annotation.pictures import save_checkpoints
from tests.annotation.server.memory import Memory


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Ten pairs of two checkpoints."""
    return asked(tmp_path, 10)


def asked(folder: Path, prompts: int, config: AskConfig | None = None) -> Project:
    made = Project(folder=folder / "judging", template="pairwise", title="Foxes")
    sources = save_checkpoints(folder / "out", prompts, ("early", "late"))
    plan(made, {n: read_inputs(p) for n, p in sources.items()}, config or AskConfig())
    return made


def sent(project: Project, memory: Memory, root: Path) -> Pushed:
    return push(Project.load(project.folder), memory.connection(), f"shared:{root}")[1]


def keys(memory: Memory) -> list[str]:
    return [task["data"]["task_key"] for task in memory.tasks.values()]


@pytest.fixture(autouse=True)
def _small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "_TASKS_IN_REQUEST", 4)
    monkeypatch.setattr("beholder.annotation.server.connection.PAUSES_SECONDS", ())


def test_every_task_is_sent_once_in_order(project: Project, tmp_path: Path) -> None:
    memory = Memory()
    first = sent(project, memory, tmp_path / "files")
    again = sent(project, memory, tmp_path / "files")
    assert memory.requests == [4, 4, 2]
    assert keys(memory) == list(project.tasks())
    assert (first.sent, first.before, again.sent, again.before) == (10, 0, 0, 10)
    assert len(memory.projects) == 1


def test_tasks_that_arrived_without_an_answer_are_not_sent_twice(
    project: Project, tmp_path: Path
) -> None:
    memory = Memory(lost_answers=1)
    report = sent(project, memory, tmp_path / "files")
    assert memory.requests == [4, 4, 2]  # four arrived, six were missing
    assert sorted(keys(memory)) == sorted(project.tasks())
    assert report.sent == 10


def test_what_was_refused_for_good_is_told_and_sent_by_the_next_call(
    project: Project, tmp_path: Path
) -> None:
    memory = Memory(refused=3)
    with pytest.raises(AnnotationError, match="sending tasks"):
        sent(project, memory, tmp_path / "files")
    assert keys(memory) == []
    assert sent(project, memory, tmp_path / "files").sent == 10


def test_a_copy_that_nobody_answered_is_deleted(project: Project, tmp_path: Path) -> None:
    memory = Memory()
    sent(project, memory, tmp_path / "files")
    data = [task["data"] for task in memory.tasks.values()]
    memory.add_task(1, data[0])
    memory.answer(memory.add_task(1, data[1]), {"id": 1})
    memory.add_task(1, {"prompt": "of somebody else"})
    report = sent(project, memory, tmp_path / "files")
    assert (report.removed, report.foreign) == (1, 1)
    assert len(memory.tasks) == 12


def test_a_missing_picture_is_told_before_anything_is_sent(
    project: Project, tmp_path: Path
) -> None:
    memory = Memory()
    next(project.media.glob("*.png")).unlink()
    with pytest.raises(AnnotationError, match=r"1 of 20 pictures are missing .* nothing was sent"):
        sent(project, memory, tmp_path / "files")
    assert memory.projects == {}


def test_a_project_belongs_to_one_server(project: Project, tmp_path: Path) -> None:
    replace(project, url="http://elsewhere").save()
    with pytest.raises(AnnotationError, match="was pushed to http://elsewhere; use that server"):
        sent(project, Memory(), tmp_path / "files")


def test_without_tasks_there_is_nothing_to_push(tmp_path: Path) -> None:
    empty = Project(folder=tmp_path / "judging", template="pairwise", title="Foxes")
    empty.folder.mkdir()
    empty.save()
    with pytest.raises(AnnotationError, match="holds no tasks to push"):
        sent(empty, Memory(), tmp_path / "files")


def test_the_server_is_told_how_many_people_answer(tmp_path: Path) -> None:
    project = replace(asked(tmp_path, 3), annotators=5, overlap_percent=20)
    project.save()
    memory = Memory()
    sent(project, memory, tmp_path / "files")
    settings = memory.projects[1]
    assert settings["maximum_annotations"] == 5
    assert settings["overlap_cohort_percentage"] == 20
    assert settings["show_collab_predictions"] is False
    assert "$image_left" in settings["label_config"]


def test_several_people_answer_repeats_and_their_originals_in_any_case(tmp_path: Path) -> None:
    project = replace(asked(tmp_path, 10, AskConfig(repeat_percent=10)), overlap_percent=20)
    project.save()
    memory = Memory()
    sent(project, memory, tmp_path / "files")
    (again,) = (t for t in project.tasks().values() if t.kind == "repeat")
    shared = {memory.tasks[int(p.split("/")[1])]["data"]["task_key"] for p in memory.patched}
    assert shared == {again.task_key, again.repeats}
    assert list(memory.patched.values()) == [{"overlap": 3}] * 2
