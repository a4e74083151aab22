"""Simulated checkpoints of known strengths, and judgements until their ranking is clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from beholder.annotation.asking.candidates import Candidates, numbered, pairs_within
from beholder.annotation.asking.information import sigmoid
from beholder.annotation.asking.selection import SelectionConfig, select
from beholder.annotation.asking.strengths import Strengths, posterior
from beholder.types import Preference

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

STRENGTHS = (1.0, 0.6, 0.2, -0.2, -1.0, -2.0)
"""In logits, best first: four close checkpoints and two that are clearly worse."""

PROMPTS = 1500
BATCH = 30
_PICTURE, _BIAS, _NOISE = 1.0, 0.3, 1.0  # of a picture's quality; of the reward's view of it
_VAGUE = 3.0  # prior spread of the belief that is tested
_SIDES = 1.96  # standard deviations of a 95 % interval


@dataclass(frozen=True, slots=True)
class Contest:
    """All pairs of checkpoints' pictures, and what one judge answers to each.

    Attributes:
        pool: as `candidates_from_table` gives it.
        answers: 1.0 if the first picture of a pair is preferred.
    """

    pool: Candidates
    answers: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Contest:
        made_by = np.tile(np.arange(len(STRENGTHS)), PROMPTS)
        prompts = [f"prompt {k // len(STRENGTHS)}" for k in range(len(made_by))]
        quality = np.array(STRENGTHS)[made_by] + _PICTURE * rng.standard_normal(len(made_by))
        bias = _BIAS * rng.standard_normal(len(STRENGTHS))
        scores = quality + bias[made_by] + _NOISE * rng.standard_normal(len(made_by))
        pairs = pairs_within(numbered(prompts))
        pool = Candidates(
            images=[f"/picture/{k}" for k in range(len(made_by))],
            prompts=prompts,
            checkpoints=[str(k) for k in made_by],
            rewards=("reward",),
            scores=scores[None],
            pairs=pairs,
            left_out={},
        )
        p_first = sigmoid(quality[pairs[:, 0]] - quality[pairs[:, 1]])
        return cls(pool, (rng.random(len(pairs)) < p_first).astype(np.float64))

    def belief(self, asked: Sequence[int]) -> Strengths:
        """What the answers so far say of the checkpoints, from a vague prior."""
        made_by = np.array([int(name) for name in self.pool.checkpoints])
        wins = np.zeros((len(STRENGTHS), len(STRENGTHS)))
        i, j = made_by[self.pool.pairs[asked]].T
        np.add.at(wins, (i, j), self.answers[asked])
        np.add.at(wins, (j, i), 1 - self.answers[asked])
        return posterior(wins, np.zeros(len(STRENGTHS)), _VAGUE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many judgements it took, and whether the order was the true one."""

    judgements: int
    is_right: bool


def settle(strategy: str, seed: int) -> Verdict:
    """Ask in batches until every two neighbours of the ranking are told apart."""
    rng = np.random.default_rng(seed)
    contest = Contest.draw(rng)
    asked: list[int] = rng.permutation(len(contest.answers))[:BATCH].tolist()
    while not _is_clear(belief := contest.belief(asked)):
        left = np.setdiff1d(np.arange(len(contest.answers)), asked)
        if not len(left):
            raise RuntimeError("every pair was asked and the order is still open; raise PROMPTS")
        asked += _next(contest, strategy, asked, left, rng)
    is_right = bool((np.argsort(-belief.mean) == np.arange(len(STRENGTHS))).all())
    return Verdict(len(asked), is_right)


def _is_clear(belief: Strengths) -> bool:
    order = np.argsort(-belief.mean)
    mean, variance = belief.margins(np.array(list(pairwise(order.tolist()))))
    return bool((mean > _SIDES * np.sqrt(variance)).all())


def _next(
    contest: Contest,
    strategy: str,
    asked: Sequence[int],
    left: Integers,
    rng: np.random.Generator,
) -> list[int]:
    if strategy == "balanced":
        return _balanced(contest, left, rng)
    if strategy == "random":
        return [int(row) for row in rng.choice(left, BATCH, replace=False)]
    pool, row = contest.pool, _rows(contest, left)
    said = [_preference(contest, k) for k in asked]
    config = SelectionConfig(strategy="ranking", count=BATCH)
    chosen = select(replace(pool, pairs=pool.pairs[left]), config, rng, judged=said).chosen
    return [row[one.first, one.second] for one in chosen]


def _rows(contest: Contest, left: Integers) -> dict[tuple[str, str], int]:
    images = contest.pool.images
    shown = contest.pool.pairs[left].tolist()
    return {(images[i], images[j]): int(k) for (i, j), k in zip(shown, left, strict=True)}


def _preference(contest: Contest, row: int) -> Preference:
    pool = contest.pool
    first, second = pool.pairs[row].tolist()
    return Preference(
        key=str(row),
        prompt=pool.prompts[first],
        first=pool.images[first],
        second=pool.images[second],
        p_first={"overall": float(contest.answers[row])},
    )


def _balanced(contest: Contest, left: Integers, rng: np.random.Generator) -> list[int]:
    """As many pairs of each two checkpoints."""
    names = contest.pool.checkpoints
    groups: dict[tuple[str, str], list[int]] = {}
    for row in rng.permutation(left).tolist():
        first, second = contest.pool.pairs[row].tolist()
        groups.setdefault((names[first], names[second]), []).append(row)
    each = BATCH // len(groups)
    return [row for group in groups.values() for row in group[:each]]
