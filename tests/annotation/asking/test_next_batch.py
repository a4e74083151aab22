from collections import Counter
from pathlib import Path

import pytest

from beholder.annotation.asking.next_batch import NextBatch, add_next_batch
from beholder.annotation.asking.plan import AskConfig, plan
from beholder.annotation.asking.selection import SelectionConfig
from beholder.annotation.mapping import TaskSides
from beholder.annotation.project import Project
from beholder.annotation.records.dataset import write_comparisons
from beholder.errors import AnnotationError
from beholder.inputs import read_inputs
from beholder.tables import ScoreTable
from beholder.types import Comparison
from tests.annotation.pictures import save_checkpoints

NAMES = ("early", "late", "middle")


def asked(folder: Path, count: int) -> tuple[Project, ScoreTable]:
    """A project of `count` questions, and a table of all its pictures: late is best."""
    project = Project(folder=folder / "judging", template="pairwise", title="Foxes")
    sources = save_checkpoints(folder / "out", 6, NAMES)
    inputs = {name: read_inputs(path) for name, path in sources.items()}
    plan(project, inputs, AskConfig(count=count))
    table = ScoreTable(folder / "scores")
    rows = [
        {"key": f"{name}/{row.key}", "image": row.name, "prompt": row.prompt, "model": name}
        for name, one in inputs.items()
        for row in one
    ]
    totals = [float(NAMES.index(str(row["model"])) % 2) + k / 100 for k, row in enumerate(rows)]
    with table.writing() as writer:
        writer.add_inputs(rows)
        writer.claim("r", {})
        writer.add_scores(
            "r",
            {
                "key": [row["key"] for row in rows],
                "r.total": totals,
                "r.error": [None] * len(rows),
            },
        )
    return project, table


def add(project: Project, table: ScoreTable, count: int, **more: object) -> NextBatch:
    config = SelectionConfig(count=count, **more)  # type: ignore[arg-type]
    return add_next_batch(project, table, ["r"], config, by="model")


def test_chosen_pairs_join_the_project_with_why_they_were_chosen(tmp_path: Path) -> None:
    project, table = asked(tmp_path, 4)
    batch = add(project, table, 10, random_share=0.2)
    tasks = list(project.tasks().values())
    new = tasks[4:]
    assert (batch.added, len(new), batch.selection.candidates) == (10, 10, 14)
    assert Counter(task.extra["chosen"] for task in new) == {"active": 8, "random": 2}
    confidences = [float(task.extra["confidence"]) for task in new]
    assert confidences == sorted(confidences)
    for task in new:
        assert isinstance(task, TaskSides)
        assert Path(task.image_a).is_file()
        assert task.extra["checkpoint_a"] < task.extra["checkpoint_b"]
        sure = float(task.extra["p_first"])
        if {task.extra["checkpoint_a"], task.extra["checkpoint_b"]} == {"early", "late"}:
            assert sure < 0.5


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    project, table = asked(tmp_path, 4)
    add(project, table, 7)
    batch = add(project, table, 100)
    keys = [(t.extra["source_a"], t.extra["source_b"]) for t in project.tasks().values()]
    assert batch.added == 7
    assert len(set(keys)) == len(keys) == 18


def test_answers_so_far_are_learned_from(tmp_path: Path) -> None:
    project, table = asked(tmp_path, 4)
    rows = [
        Comparison(
            key=task.task_key,
            prompt=task.extra["prompt"],
            images=(task.image_a, task.image_b),
            ranks={"overall": (1, 2)},
        )
        for task in project.tasks().values()
        if isinstance(task, TaskSides)
    ]
    write_comparisons(rows, project.folder / "comparisons")
    found = add(project, table, 2).selection
    assert (found.judged, found.unmatched) == (4, 0)


def test_a_picture_that_is_gone_costs_its_pairs_and_is_told(tmp_path: Path) -> None:
    project, table = asked(tmp_path, 1)
    gone = tmp_path / "out" / "late" / "005.png"
    gone.unlink()
    batch = add(project, table, 100)
    assert [one.source for one in batch.refused] == [str(gone)]
    assert batch.added == len(batch.selection.chosen) - 2


def test_single_pictures_are_not_chosen(tmp_path: Path) -> None:
    _, table = asked(tmp_path, 1)
    rated = Project(folder=tmp_path / "rated", template="richhf", title="Foxes")
    with pytest.raises(AnnotationError, match="asks about single pictures"):
        add(rated, table, 1)
