"""Which pairs could be asked next, out of a score table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from beholder.errors import DataError
from beholder.tables import IMAGE, PROMPT, ScoreTable, error_code

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Columns = Mapping[str, npt.NDArray[Any]]

MOST_PAIRS = 20_000_000
"""More are refused; they would not fit the memory of a small machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Pictures with their scores, and the pairs of them that nobody was asked about yet.

    Attributes:
        images, prompts: of each picture; the path is absolute, or as the table names it.
        checkpoints: who made each picture, "" if that is not known.
        rewards: names of the rows of `scores`.
        scores: (rewards, pictures), finite.
        pairs: (n, 2) rows of two pictures of one prompt; those of a prompt lie together.
        asked: pairs that were left out because they were asked before.
        left_out: reason -> rows of the table without a score, prompt or checkpoint, or a picture
            of a prompt that the table repeats.
    """

    images: Sequence[str]
    prompts: Sequence[str]
    checkpoints: Sequence[str]
    rewards: Sequence[str]
    scores: Floats
    pairs: Integers
    asked: int = 0
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.pairs)

    def margins(self, pairs: Integers) -> Floats:
        """score_i - score_j of each reward and pair (i, j): (rewards, k)."""
        return np.asarray(self.scores[:, pairs[:, 0]] - self.scores[:, pairs[:, 1]])


def candidates_from_table(
    table: ScoreTable,
    rewards: Sequence[str],
    *,
    aspect: str | None = None,
    by: str | None = None,
    asked: Iterable[tuple[str, str]] = (),
    same_checkpoint: bool = False,
) -> Candidates:
    """Every two pictures of a prompt that were not asked about yet.

    Args:
        table: of the pictures; a row that one of the `rewards` could not score is left out.
        rewards: whose scores are taken; none takes all pictures, scored or not.
        aspect: which score; None is the total.
        by: the column that names each picture's checkpoint; None knows no checkpoints.
        asked: two pictures of each pair that was asked, in either order, by path.
        same_checkpoint: whether two pictures of one checkpoint may be compared even though there
            are several checkpoints.

    Raises:
        ConfigError: if the table has no such column.
        DataError: if no pair is left, or there are more than `MOST_PAIRS`.
    """
    scores = [f"{reward}.{aspect or 'total'}" for reward in rewards]
    errors = [f"{reward}.error" for reward in rewards]
    columns = table.arrays([IMAGE, PROMPT, *scores, *errors, *([by] if by else [])])
    rows, left_out = _usable(columns, dict(zip(scores, errors, strict=True)), by)
    images = [absolute(str(image)) for image in columns[IMAGE][rows]]
    prompts = [str(prompt) for prompt in columns[PROMPT][rows]]
    checkpoints = [str(name) for name in columns[by][rows]] if by else [""] * len(rows)
    pairs = pairs_within(numbered(prompts))
    if not same_checkpoint and len(set(checkpoints)) > 1:
        made_by = numbered(checkpoints)
        pairs = pairs[made_by[pairs[:, 0]] != made_by[pairs[:, 1]]]
    was_asked = _among(pairs, images, asked)
    if was_asked.all():
        raise DataError(_nothing_left(table, len(images), len(pairs), left_out))
    return Candidates(
        images=images,
        prompts=prompts,
        checkpoints=checkpoints,
        rewards=tuple(rewards),
        scores=np.array([columns[name][rows] for name in scores], dtype=np.float64).reshape(
            -1, len(rows)
        ),
        pairs=pairs[~was_asked],
        asked=int(was_asked.sum()),
        left_out=left_out,
    )


def numbered(names: Iterable[Hashable]) -> Integers:
    """A number for each name, equal for equal names, from 0 by first appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def pairs_within(groups: Integers) -> Integers:
    """Every two rows (i < j) of the same group, group by group: (n, 2).

    Raises DataError if there are more than `MOST_PAIRS`.
    """
    sizes = np.bincount(groups)
    count = int((sizes * (sizes - 1) // 2).sum())
    if count > MOST_PAIRS:
        raise DataError(
            f"{count} pairs could be asked, more than {MOST_PAIRS}; one prompt has "
            f"{sizes.max()} pictures: choose from a table of fewer"
        )
    order = np.argsort(groups, kind="stable")
    starts = np.cumsum(sizes) - sizes
    parts = [np.empty((0, 2), dtype=np.int64)]
    for size in np.unique(sizes[sizes > 1]).tolist():
        rows = order[starts[sizes == size, None] + np.arange(size)]
        i, j = np.triu_indices(size, 1)
        parts.append(np.stack([rows[:, i], rows[:, j]], axis=-1).reshape(-1, 2))
    pairs = np.concatenate(parts)
    return np.asarray(pairs[np.argsort(groups[pairs[:, 0]], kind="stable")])


def absolute(image: str) -> str:
    """How a picture is named when two are compared."""
    return image if "://" in image else str(Path(image).absolute())


def _usable(
    columns: Columns, errors: Mapping[str, str], by: str | None
) -> tuple[Integers, dict[str, int]]:
    """Rows of the pictures that can be asked about, and how many others there are by reason."""
    seen: set[tuple[object, object]] = set()
    rows: list[int] = []
    left_out: Counter[str] = Counter()
    for row, picture in enumerate(zip(columns[IMAGE], columns[PROMPT], strict=True)):
        why = _reason(columns, row, errors, by) or ("repeated" if picture in seen else "")
        if why:
            left_out[why] += 1
        else:
            seen.add(picture)
            rows.append(row)
    return np.array(rows, dtype=np.int64), dict(left_out.most_common())


def _reason(columns: Columns, row: int, errors: Mapping[str, str], by: str | None) -> str:
    """Why a row's picture cannot be asked about; "" if it can."""
    if not str(columns[PROMPT][row] or "").strip():
        return "no prompt"
    if by and columns[by][row] is None:
        return f"no {by}"
    for score, error in errors.items():
        if not np.isfinite(columns[score][row]):
            return f"{score}: {error_code(columns[error][row] or 'non-finite')}"
    return ""


def _among(
    pairs: Integers, images: Sequence[str], asked: Iterable[tuple[str, str]]
) -> npt.NDArray[np.bool_]:
    """Which pairs show two pictures that were asked about, in either order."""
    numbers = {image: number for number, image in enumerate(dict.fromkeys(images))}
    shown = np.array([numbers[image] for image in images], dtype=np.int64)[pairs]
    known = [
        sorted((numbers[a], numbers[b]))
        for a, b in ((absolute(first), absolute(second)) for first, second in asked)
        if a in numbers and b in numbers
    ]
    old = np.array(known, dtype=np.int64).reshape(-1, 2)
    size = len(numbers)
    return np.isin(shown.min(1) * size + shown.max(1), old[:, 0] * size + old[:, 1])


def _nothing_left(table: ScoreTable, pictures: int, asked: int, left_out: Mapping[str, int]) -> str:
    reasons = ", ".join(f"{count} {why}" for why, count in left_out.items()) or "none"
    return (
        f"no pair is left to ask in {table.folder}: {pictures} usable pictures "
        f"(left out: {reasons}), {asked} pairs of them asked already; "
        "score further pictures, several of each prompt"
    )
