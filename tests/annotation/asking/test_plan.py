import json
from collections import Counter
from pathlib import Path

import pytest

from beholder.annotation.asking.design import pair_questions
from beholder.annotation.asking.media import Picture
from beholder.annotation.asking.plan import AskConfig, Planned, add_questions, plan
from beholder.annotation.mapping import TaskPicture, TaskSides
from beholder.annotation.project import Project, Template
from beholder.errors import AnnotationError
from beholder.inputs import read_inputs
from tests.annotation.pictures import save_checkpoints, save_picture

THREE = ("early", "middle", "late")


def made(folder: Path, template: Template = "pairwise") -> Project:
    return Project(folder=folder / "judging", template=template, title="Foxes", seed=3)


def run(project: Project, folders: dict[str, Path], config: AskConfig | None = None) -> Planned:
    sources = {name: read_inputs(folder) for name, folder in folders.items()}
    return plan(project, sources, config or AskConfig())


def test_every_pair_of_checkpoints_is_asked_once(tmp_path: Path) -> None:
    project = made(tmp_path)
    report = run(project, save_checkpoints(tmp_path / "out", 4, THREE))
    tasks = project.tasks().values()
    assert (report.pictures, report.asked, report.possible, len(tasks)) == (12, 12, 12, 12)
    assert all(isinstance(t, TaskSides) and Path(t.image_a).is_file() for t in tasks)
    versus = Counter((t.extra["checkpoint_a"], t.extra["checkpoint_b"]) for t in tasks)
    assert versus == {("early", "middle"): 4, ("early", "late"): 4, ("late", "middle"): 4}


def test_the_same_call_again_adds_nothing(tmp_path: Path) -> None:
    project = made(tmp_path)
    folders = save_checkpoints(tmp_path / "out", 6, THREE)
    config = AskConfig(count=9, repeat_percent=20)
    first = run(project, folders, config)
    before = (project.folder / "mapping.jsonl").read_bytes()
    again = run(project, folders, config)
    assert (first.asked, first.repeats, first.before) == (9, 2, 0)
    assert (again.asked, again.repeats, again.before) == (0, 0, 11)
    assert (project.folder / "mapping.jsonl").read_bytes() == before


def test_more_pictures_add_their_questions_behind_the_old_ones(tmp_path: Path) -> None:
    project = made(tmp_path)
    run(project, save_checkpoints(tmp_path / "out", 2, THREE))
    before = list(project.tasks())
    run(project, save_checkpoints(tmp_path / "out", 3, THREE))
    after = list(project.tasks())
    assert (len(before), len(after)) == (6, 9)
    assert after[:6] == before


def test_gold_and_repeats_are_of_their_kind(tmp_path: Path) -> None:
    project = made(tmp_path)
    folders = save_checkpoints(tmp_path / "out", 5, THREE[:2])
    save_picture(tmp_path / "gold" / "a.png", 77)
    save_picture(tmp_path / "gold" / "b.png", 78)
    row = {"image_a": "a.png", "image_b": "b.png", "prompt": "p", "gold_overall": "a"}
    twice = f"{json.dumps(row)}\n{json.dumps(row)}\n"
    (tmp_path / "gold" / "gold.jsonl").write_text(twice)
    gold = tmp_path / "gold" / "gold.jsonl"
    run(project, folders, AskConfig(repeat_percent=20, gold=gold))
    tasks = project.tasks().values()
    assert Counter(t.kind for t in tasks) == {"ask": 5, "repeat": 1, "gold": 1}
    (golden,) = (t for t in tasks if t.kind == "gold")
    assert golden.gold == {"overall": "a"}


def test_single_pictures_are_asked_about_one_by_one(tmp_path: Path) -> None:
    project = made(tmp_path, "richhf")
    report = run(project, save_checkpoints(tmp_path / "out", 4, THREE[:2]), AskConfig(count=4))
    tasks = list(project.tasks().values())
    assert (report.possible, len(tasks)) == (8, 4)
    assert all(isinstance(t, TaskPicture) for t in tasks)
    assert len({t.extra["prompt"] for t in tasks}) == 4
    assert Counter(t.extra["checkpoint"] for t in tasks) == {"early": 2, "middle": 2}


def test_pictures_that_cannot_be_asked_about_are_reported(tmp_path: Path) -> None:
    folders = save_checkpoints(tmp_path / "out", 3, THREE[:2])
    (folders["early"] / "000.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    report = run(made(tmp_path), folders)
    assert report.asked == 2
    assert [Path(r.source).name for r in report.refused] == ["000.png"]


def test_pictures_of_different_prompts_make_no_pair(tmp_path: Path) -> None:
    save_picture(tmp_path / "a" / "x.png", 0, "one")
    save_picture(tmp_path / "a" / "y.png", 1, "two")
    with pytest.raises(AnnotationError, match="no two different ones of the 2 pictures share"):
        run(made(tmp_path), {"": tmp_path / "a"})


def test_chosen_questions_are_added_once_with_why(tmp_path: Path) -> None:
    project = made(tmp_path)
    folders = save_checkpoints(tmp_path / "out", 3, THREE[:2])
    run(project, folders, AskConfig(count=1))
    (known,) = project.tasks().values()
    pictures = [
        Picture(f"prompt {p}", f"{p}{n}.png", f"/{n}/{p}", n) for p in range(2) for n in "ab"
    ]
    chosen = pair_questions(pictures)
    assert add_questions(project, chosen) == 2
    assert add_questions(project, chosen) == 0
    assert next(iter(project.tasks())) == known.task_key


@pytest.mark.parametrize("bad", [{"count": 0}, {"repeat_percent": 60}, {"repeat_percent": -1}])
def test_a_share_or_count_that_cannot_be_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(AnnotationError, match="expected"):
        AskConfig(**bad)  # type: ignore[arg-type]
