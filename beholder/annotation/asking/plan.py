"""From pictures to the questions of a project: the whole of `push` before any server is asked.

Everything is checked here, so that a task that was sent can be answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beholder.annotation.asking.design import (
    Question,
    balanced,
    in_order,
    pair_questions,
    pair_tasks,
    picture_questions,
    picture_tasks,
    repeats,
)
from beholder.annotation.asking.gold import read_gold
from beholder.annotation.asking.media import Picture, Refused, gather
from beholder.annotation.mapping import AnyTask, Kind
from beholder.annotation.project import Project
from beholder.errors import AnnotationError
from beholder.inputs import Inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class AskConfig:
    """What is asked of the pictures.

    Attributes:
        by: the manifest's column that names each picture's checkpoint; None takes the source's.
        count: most questions in all, balanced over prompts and checkpoints; None asks every one.
        repeat_percent: share of the questions asked again, a pair with its sides exchanged.
        gold: a manifest of tasks with known answers; see `beholder.annotation.asking.gold`.
    """

    by: str | None = None
    count: int | None = None
    repeat_percent: float = 0.0
    gold: Path | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise AnnotationError(f"count is {self.count}, expected 1 or more")
        if not 0 <= self.repeat_percent <= 50:
            raise AnnotationError(f"repeat_percent is {self.repeat_percent}, expected 0 to 50")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What was added to a project, and what could not be asked about.

    Attributes:
        pictures: pictures that can be asked about.
        asked, repeats, gold: new tasks of each kind.
        before: tasks that the project had already.
        possible: questions that the pictures allow, asked or not.
        refused: pictures that nobody can be asked about, and why.
    """

    pictures: int
    asked: int
    repeats: int
    gold: int
    before: int
    possible: int
    refused: Sequence[Refused]


def plan(
    project: Project,
    sources: Mapping[str, Inputs],
    config: AskConfig,
    *,
    progress: Callable[[int], object] = lambda _: None,
) -> Planned:
    """Write the questions that the project does not have yet, with their pictures.

    The same call again adds nothing. Sources are named by the checkpoint that made them, "" if
    nobody said. Raises AnnotationError if nothing can be asked.
    """
    with project.writing():
        project.save()
        gathered = gather(sources, project.media, by=config.by, progress=progress)
        possible = _questions(project, gathered.pictures)
        gold = read_gold(config.gold, project.template, project.media) if config.gold else []
        known = project.tasks()
        rng = np.random.default_rng([project.seed, len(known)])
        asks = _tasks(project, _choose(possible, known, project, config.count, rng), "ask", rng)
        again = repeats(asks, config.repeat_percent, project.salt, rng)
        checks = _tasks(project, _unknown(gold, project, known, "gold"), "gold", rng)
        project.add_tasks(in_order(asks, again, checks, rng))
    return Planned(
        pictures=len(gathered.pictures),
        asked=len(asks),
        repeats=len(again),
        gold=len(checks),
        before=len(known),
        possible=len(possible),
        refused=gathered.refused,
    )


def add_questions(project: Project, chosen: Sequence[Question]) -> int:
    """How many of the chosen questions were new and written to the project, in their order."""
    with project.writing():
        known = project.tasks()
        rng = np.random.default_rng([project.seed, len(known)])
        new = _unknown(chosen, project, known, "ask")
        project.add_tasks(_tasks(project, new, "ask", rng))
        return len(new)


def _questions(project: Project, pictures: Sequence[Picture]) -> list[Question]:
    if project.template == "richhf":
        return picture_questions(pictures)
    questions = pair_questions(pictures)
    if not questions:
        raise AnnotationError(
            f"no two different ones of the {len(pictures)} pictures share a prompt; "
            "a pair needs two pictures of one prompt, of two checkpoints if several are given"
        )
    return questions


def _choose(
    possible: Sequence[Question],
    known: Mapping[str, AnyTask],
    project: Project,
    count: int | None,
    rng: np.random.Generator,
) -> list[Question]:
    """New questions, so many that there are `count` in all."""
    asked = [q for q in possible if q.key(project.salt) in known]
    before = sum(task.kind == "ask" for task in known.values())
    left = None if count is None else max(count - before, 0)
    return balanced(_unknown(possible, project, known, "ask"), left, rng, asked)


def _unknown(
    questions: Sequence[Question], project: Project, known: Mapping[str, AnyTask], kind: Kind
) -> list[Question]:
    """Questions that the project does not have as tasks of this kind, each once."""
    by_key = {question.key(project.salt, kind): question for question in questions}
    return [question for key, question in by_key.items() if key not in known]


def _tasks(
    project: Project, questions: Sequence[Question], kind: Kind, rng: np.random.Generator
) -> Sequence[AnyTask]:
    if project.template == "richhf":
        return picture_tasks(questions, kind, project.salt)
    return pair_tasks(questions, kind, project.salt, rng)
