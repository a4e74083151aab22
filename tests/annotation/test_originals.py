from pathlib import Path

from beholder.annotation.asking.plan import AskConfig, plan
from beholder.annotation.judgements import aggregate_folder
from beholder.annotation.mapping import TaskSides
from beholder.annotation.originals import find_originals
from beholder.annotation.project import Project, Template
from beholder.annotation.records.dataset import read_preferences, write_comparisons
from beholder.inputs import read_inputs
from beholder.types import Comparison, Rating
from tests.annotation.pictures import save_checkpoints, save_picture


def asked(folder: Path, template: Template = "pairwise") -> Project:
    """Two questions about pictures of two checkpoints."""
    project = Project(folder=folder / "judging", template=template, title="Foxes")
    sources = save_checkpoints(folder / "out", 2, ("early", "late"))
    plan(project, {n: read_inputs(p) for n, p in sources.items()}, AskConfig())
    return project


def judged(project: Project) -> list[Comparison]:
    return [
        Comparison(
            key=task.task_key,
            prompt=task.extra["prompt"],
            images=(task.image_a, task.image_b),
            ranks={"overall": (1, 2)},
        )
        for task in project.tasks().values()
        if isinstance(task, TaskSides)
    ]


def test_pictures_get_the_names_that_they_came_with(tmp_path: Path) -> None:
    project = asked(tmp_path)
    originals = find_originals(project.tasks().values())
    assert originals.lost == frozenset()
    for record in map(originals.named, judged(project)):
        task = project.tasks()[record.key]
        assert record.images == (task.extra["source_a"], task.extra["source_b"])


def test_what_is_gone_or_changed_keeps_the_name_of_its_copy(tmp_path: Path) -> None:
    project = asked(tmp_path)
    (tmp_path / "out/early/000.png").unlink()
    save_picture(tmp_path / "out/late/001.png", 99)
    originals = find_originals(project.tasks().values())
    assert len(originals.lost) == 2
    by_prompt = {r.prompt: originals.named(r).images for r in judged(project)}
    assert [Path(i).parent.name for i in by_prompt["prompt 0"]] == ["media", "late"]
    assert [Path(i).parent.name for i in by_prompt["prompt 1"]] == ["early", "media"]


def test_a_rated_picture_gets_its_name_too(tmp_path: Path) -> None:
    project = asked(tmp_path, "richhf")
    (task, *_) = project.tasks().values()
    rating = Rating(key=task.task_key, prompt="p", image=getattr(task, "image", ""))
    named = find_originals(project.tasks().values()).named(rating)
    assert named.image == task.extra["source"]
    other = Rating(key="another", prompt="p", image="a.png")
    assert find_originals(project.tasks().values()).named(other) == other


def test_preferences_meet_the_pictures_that_were_scored(tmp_path: Path) -> None:
    project = asked(tmp_path)
    write_comparisons(judged(project), project.folder / "comparisons")
    (tmp_path / "out/early/000.png").unlink()
    done = aggregate_folder(project.folder, tmp_path / "data")
    firsts = {Path(p.first).parent.name for p in read_preferences(tmp_path / "data")}
    assert (done.copies, firsts) == (1, {"early", "media"})
