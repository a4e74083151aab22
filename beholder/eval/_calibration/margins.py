"""Margins of judged pairs, with what people say of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import Tensor

from beholder.errors import DataError
from beholder.eval._bootstrap import Floats
from beholder.eval.preference import ScoredPairs
from beholder.types import Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Pairs with an answer and two scores.

    Attributes:
        margin: score of the first picture less that of the second.
        p_first: share of people for the first; 1/2 is a tie.
        group: the number of the prompt, from 0.
    """

    margin: Floats
    p_first: Floats
    group: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.margin)

    @property
    def prompts(self) -> int:
        """How many there are."""
        return len(np.unique(self.group))

    @property
    def is_right(self) -> Floats:
        """1 where people prefer the picture of the higher score, -1 the other, 0 a tie."""
        right: Floats = np.sign(self.p_first - 0.5) * np.sign(self.margin)
        return right

    def at(self, rows: npt.NDArray[np.bool_]) -> Pairs:
        """Some of the pairs, their prompts numbered as before."""
        return replace(
            self, margin=self.margin[rows], p_first=self.p_first[rows], group=self.group[rows]
        )


def margins(scored: ScoredPairs, score: str) -> Floats:
    """First less second of every preference, of "total" or an aspect; NaN without two scores.

    Raises DataError if there is no such score.
    """
    values = _named(scored, score).double().numpy()
    known = np.where(np.isfinite(values), values, np.nan)
    ends = np.array(scored.rows, dtype=np.int64).reshape(-1, 2)
    margin: Floats = known[ends[:, 0]] - known[ends[:, 1]]
    return margin


def answered_pairs(scored: ScoredPairs, score: str, answers: str) -> Pairs:
    """The pairs that have both scores and an answer to `answers`, in order.

    Raises DataError if there is no such score.
    """
    total = _named(scored, score)
    alone = replace(scored, scores=Scores(total, errors=scored.scores.errors))
    found = alone.answers(answers)
    known = np.isfinite(found.margin)
    prompts = [prompt for prompt, kept in zip(found.prompts, known, strict=True) if kept]
    numbers: dict[str, int] = {}
    group = np.array([numbers.setdefault(p, len(numbers)) for p in prompts], dtype=np.int64)
    return Pairs(margin=found.margin[known], p_first=found.p_first[known], group=group)


def _named(scored: ScoredPairs, score: str) -> Tensor:
    if score not in {"total", *scored.scores.aspects}:
        raise DataError(f"the reward has no score {score!r}")
    return scored.scores.named(score)
