"""The next questions of a project, chosen by what a reward says of pictures in a score table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from beholder.annotation.asking.candidates import absolute, candidates_from_table
from beholder.annotation.asking.design import Question
from beholder.annotation.asking.media import Picture, Refused, save_png
from beholder.annotation.asking.plan import add_questions
from beholder.annotation.asking.selection import Chosen, Selection, SelectionConfig, select
from beholder.annotation.joining.aggregate import by_votes
from beholder.annotation.mapping import TaskSides
from beholder.annotation.project import Project
from beholder.annotation.records.dataset import read_comparisons
from beholder.errors import AnnotationError, ImageError
from beholder.images import read_image
from beholder.tables import ScoreTable
from beholder.types import Preference


@dataclass(frozen=True, slots=True, kw_only=True)
class NextBatch:
    """What was chosen and added to the project.

    Attributes:
        selection: the pairs, and what they were chosen from.
        added: tasks that are new; the others were there already.
        left_out: reason -> rows of the table that could not be chosen from.
        refused: chosen pictures that cannot be shown, and why; their pairs were not added.
    """

    selection: Selection
    added: int
    left_out: Mapping[str, int]
    refused: Sequence[Refused]


def add_next_batch(
    project: Project,
    table: ScoreTable,
    rewards: Sequence[str],
    config: SelectionConfig,
    *,
    aspect: str | None = None,
    by: str | None = None,
) -> NextBatch:
    """Add the questions that are most worth asking; `push` then sends them.

    Every task keeps in the mapping why it was chosen ("active" or "random"), how probable the
    rewards hold the first picture, and its place in the order; annotators see none of it.

    Args:
        project: of pairs; its answers so far are learned from.
        table: scores of the pictures; see `beholder score`.
        rewards: whose scores count; several are an ensemble.
        config: how pairs are chosen.
        aspect: the aspect that is asked about; None takes the total, and the answers to "overall".
        by: the table's column that names each picture's checkpoint.

    Raises:
        AnnotationError: if the project asks about single pictures.
        ConfigError, DataError: if the table cannot answer.
    """
    if project.template != "pairwise":
        raise AnnotationError(f"{project.folder} asks about single pictures; pairs are chosen")
    asked = {k: t for k, t in project.tasks().items() if isinstance(t, TaskSides)}
    candidates = candidates_from_table(
        table, rewards, aspect=aspect, by=by, asked=[_sources(task) for task in asked.values()]
    )
    rng = np.random.default_rng([project.seed, len(asked)])
    judged = _judged(project, asked)
    found = select(candidates, config, rng, judged=judged, aspect=aspect or "overall")
    questions, refused = _questions(project, found.chosen)
    added = add_questions(project, questions)
    return NextBatch(selection=found, added=added, left_out=candidates.left_out, refused=refused)


def _sources(task: TaskSides) -> tuple[str, str]:
    """What the pictures of a task were read from, as a score table names them."""
    first = task.extra.get("source_a", task.image_a)
    return absolute(first), absolute(task.extra.get("source_b", task.image_b))


def _judged(project: Project, asked: Mapping[str, TaskSides]) -> list[Preference]:
    """The answers so far, about the pictures that the table names."""
    if not (project.folder / "comparisons").is_dir():
        return []
    said = by_votes(read_comparisons(project.folder))
    pairs = {p.key: (p, *_sources(asked[p.key])) for p in said if p.key in asked}
    return [replace(p, first=first, second=second) for p, first, second in pairs.values()]


def _questions(project: Project, chosen: Sequence[Chosen]) -> tuple[list[Question], list[Refused]]:
    """The chosen pairs as questions whose pictures lie in the project, and what cannot be read."""
    sources = dict.fromkeys(image for one in chosen for image in (one.first, one.second))
    files: dict[str, str] = {}
    refused: list[Refused] = []
    project.media.mkdir(parents=True, exist_ok=True)
    for source in sources:
        try:
            files[source] = save_png(read_image(source), project.media)
        except ImageError as error:
            refused.append(Refused(source, f"{error.code}: {error}"))
    return [
        _question(one, files) for one in chosen if one.first in files and one.second in files
    ], refused


def _question(chosen: Chosen, files: Mapping[str, str]) -> Question:
    """The pair in its canonical order: by checkpoint, then file."""
    first = Picture(chosen.prompt, files[chosen.first], chosen.first, chosen.checkpoint_first)
    second = Picture(chosen.prompt, files[chosen.second], chosen.second, chosen.checkpoint_second)
    turned = (second.checkpoint, second.file) < (first.checkpoint, first.file)
    p_first = 1 - chosen.p_first if turned else chosen.p_first
    extra = {
        "chosen": chosen.reason,
        "p_first": f"{p_first:.4f}",
        "confidence": f"{chosen.score:.4f}",
    }
    return Question((second, first) if turned else (first, second), extra=extra)
