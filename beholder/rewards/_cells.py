"""Decoded batches to cells of a table: numbers, or None and the reason why there are none.

Of a picture a reward gives `total`, its aspects and `error`; one that draws maps also
`<map>.area`, the share of the map above 0.5, and `<map>.peak`, its maximum; one that judges words
also `misaligned_words`, how many are more likely missed than not, and `misaligned_share`, their
share of the prompt's words, 0 of none.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import ImageError
from beholder.inputs import Row
from beholder.rewards._base import Reward, evaluating
from beholder.rewards._read_ahead import Decoded
from beholder.tables import error_code
from beholder.types import Scores, WordLabel

Cell = Mapping[str, object]
"""What a reward says of a picture: part -> number or None, and "error"."""

_MARKED = 0.5
_BROKEN: tuple[type[Exception], ...] = tuple(
    filter(None, [getattr(torch, "AcceleratorError", None)])
)
_OF_GPU = ("CUDA error", "cuDNN error", "CUBLAS_STATUS")


def is_broken(error: Exception) -> bool:
    """Whether a GPU answers nothing any more after such an error: no picture is to blame."""
    if isinstance(error, _BROKEN):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _OF_GPU)


@dataclass(slots=True)
class BatchScorer:
    """Scores batches by several rewards, each the rows that ask for it.

    A batch that a reward cannot take is tried row by row, so that one picture harms no other. A
    reward that never scored anything and fails on every row is at fault itself: its error is
    raised.
    """

    rewards: Mapping[str, Reward]
    worked: set[str] = field(default_factory=set)

    def score(self, batch: Sequence[Decoded]) -> dict[str, list[Cell]]:
        """For each reward that a row asks for, the cells of those rows, in order."""
        found = {}
        for name, reward in self.rewards.items():
            mine = [
                (task.row, views if isinstance(views, ImageError) else views[reward.fitting])
                for task, views in batch
                if name in task.rewards
            ]
            if mine:
                found[name] = self._cells(name, mine)
        return found

    def _cells(self, name: str, rows: Sequence[tuple[Row, Tensor | ImageError]]) -> list[Cell]:
        reward = self.rewards[name]
        pictures = [_with_prompt(reward, row, picture) for row, picture in rows]
        prompts = [row.prompt or "" for row, _ in rows]
        try:
            cells = scored(reward, pictures, prompts)
        except (RuntimeError, ValueError) as error:
            if is_broken(error):
                raise
            alone = zip(pictures, prompts, strict=True)
            cells = [_scored_alone(reward, picture, prompt) for picture, prompt in alone]
            if name not in self.worked and all(cell["error"] for cell in cells):
                raise  # the reward is at fault, not a picture
        self.worked.add(name)
        return cells


@dataclass(slots=True)
class Column:
    """Cells of one reward, gathered."""

    cells: list[Cell] = field(default_factory=list)

    def columns(self, reward: str, parts: Sequence[str] = ()) -> dict[str, list[object]]:
        """Values of "<reward>.<part>"; None where a row has no such part, `error` last.

        `parts` are there in any case. Rows of a batch without a good picture have no maps.
        """
        found = dict.fromkeys([*parts, *(part for cell in self.cells for part in cell)])
        names = [*(part for part in found if part != "error"), "error"]
        return {f"{reward}.{part}": [cell.get(part) for cell in self.cells] for part in names}

    def errors(self) -> Counter[str]:
        """How often each error code occurs."""
        return Counter(error_code(str(cell["error"])) for cell in self.cells if cell["error"])


def scored(
    reward: Reward, pictures: Sequence[Tensor | ImageError], prompts: Sequence[str]
) -> list[Cell]:
    """For each picture its numbers, finite, and None; or None and why."""
    scores = reward.score_rows(pictures, prompts).detach()
    parts = {"total": scores.total, **scores.aspects, **_of_maps(scores)}
    numbers = {part: values.tolist() for part, values in parts.items()} | _of_words(scores)
    return [
        _cell({part: values[row] for part, values in numbers.items()}, scores.errors.get(row))
        for row in range(len(pictures))
    ]


@torch.no_grad()
def parts_of(reward: Reward) -> tuple[str, ...]:
    """The parts of a reward's cells, found on a picture of noise; none if it cannot take that.

    A file of nothing but unreadable pictures so has the columns of the others.
    """
    noise = torch.Generator().manual_seed(0)
    picture = torch.randint(0, 256, (3, 256, 256), generator=noise, dtype=torch.uint8)
    try:
        with evaluating(reward):
            (cell,) = scored(reward, [picture], ["a picture"])
    except (RuntimeError, ValueError) as error:
        if is_broken(error):
            raise
        return ()
    return () if cell["error"] else tuple(cell)


def _of_maps(scores: Scores) -> dict[str, Float[Tensor, " b"]]:
    found: dict[str, Tensor] = {}
    for name, maps in scores.maps.items():
        marked = (maps > _MARKED).double().mean((1, 2))
        found[f"{name}.area"] = torch.where(maps.isfinite().all(2).all(1), marked, math.nan)
        found[f"{name}.peak"] = maps.amax((1, 2))
    return found


def _of_words(scores: Scores) -> dict[str, list[float]]:
    if not scores.words:
        return {}
    missed = [float(sum(w.p_misaligned > _MARKED for w in words)) for words in scores.words]
    return {"misaligned_words": missed, "misaligned_share": _shares(missed, scores.words)}


def _shares(missed: Sequence[float], words: Sequence[Sequence[WordLabel]]) -> list[float]:
    return [count / max(1, len(labels)) for count, labels in zip(missed, words, strict=True)]


def _with_prompt(reward: Reward, row: Row, picture: Tensor | ImageError) -> Tensor | ImageError:
    if row.prompt is None and reward.card.needs_prompt and isinstance(picture, Tensor):
        return ImageError("no-prompt", f"{reward.card.name} needs a prompt, this row has none")
    return picture


def _cell(numbers: Mapping[str, float], error: str | None) -> Cell:
    if error is None:
        bad = [part for part, value in numbers.items() if not math.isfinite(value)]
        error = f"non-finite: the reward gave no finite {bad[0]}" if bad else None
    return {**(numbers if error is None else dict.fromkeys(numbers)), "error": error}


def _scored_alone(reward: Reward, picture: Tensor | ImageError, prompt: str) -> Cell:
    try:
        return scored(reward, [picture], [prompt])[0]
    except (RuntimeError, ValueError) as error:
        if is_broken(error):
            raise
        nothing = dict.fromkeys(("total", *reward.card.aspects))
        return {**nothing, "error": f"reward-failed: {type(error).__name__}: {error}"}
