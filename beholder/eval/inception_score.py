"""Inception Score: how sure a classifier is of each picture, and how different its answers are.

exp of the mean divergence KL(p(y|x) ‖ p(y)), p(y) being the mean of p(y|x) over the same pictures
(Salimans et al., 2016, "Improved techniques for training GANs", section 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.eval._blocks import Floats, Places, checked, spans
from beholder.eval._features import Array
from beholder.eval._jackknife import Deleted, Jackknife, groups_of, jackknife

Splits = Literal["torch-fidelity", "improved-gan", "adm", "torchmetrics", "dgm-eval"]
"""How pictures are divided: shuffled by RandomState(2020) into 10 parts; in order into 10; in order
into parts of 5000; in order into 10 parts of the size rounded up (torchmetrics shuffles first,
without a seed); in order into 10 parts of the size rounded down, the rest left out."""
PARTS = 10
_ADM_SIZE = 5000
_SHUFFLE_SEED = 2020
_BLOCK = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InceptionScore:
    """Inception Score by parts, as published, and of all pictures at once.

    Attributes:
        scores: of each part, (parts,), from 1 to the number of classes.
        ddof: of the deviation: 1 for "torchmetrics", otherwise 0.
        whole: of all pictures as one part.
        jackknife: how sure `whole` is; None if no groups were asked for.
    """

    scores: Floats
    ddof: int
    whole: float
    jackknife: Jackknife | None

    @property
    def mean(self) -> float:
        """Over the parts."""
        return float(self.scores.mean())

    @property
    def deviation(self) -> float | None:
        """Over the parts; None where one part has none."""
        return float(self.scores.std(ddof=self.ddof)) if len(self.scores) > self.ddof else None


def inception_score(
    logits: Array | Tensor,
    *,
    splits: str = "torch-fidelity",
    groups: int = 10,
    seed: int = 0,
) -> InceptionScore:
    """Inception Score of logits, in float64.

    Args:
        logits: (n, classes) of the 2015 Inception network without bias, 1008 classes.
        splits: whose way of dividing the pictures.
        groups: of the jackknife of the score of all pictures; 0 for no interval.
        seed: of the dealing into groups.

    Raises:
        DataError: if the logits are not a finite matrix, or have fewer rows than parts.
        ConfigError: if `splits` is unknown or `groups` out of range.
    """
    if splits not in get_args(Splits):
        raise ConfigError(f"unknown splits {splits!r}; known are {', '.join(get_args(Splits))}")
    given = checked(logits, "logits")
    parts = _parts(len(given), splits)
    groups_of_rows = groups_of(len(given), groups, seed)
    whole = _moments(given, np.arange(len(given)))
    return InceptionScore(
        scores=np.array([_moments(given, part).score() for part in parts]),
        ddof=1 if splits == "torchmetrics" else 0,
        whole=whole.score(),
        jackknife=_jackknife(given, whole, groups_of_rows) if groups_of_rows else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """Sums over some pictures: how many, of p(y|x), and of Σ p log p."""

    count: int
    chances: Floats
    certainty: float

    def score(self) -> float:
        """The exponential of the mean of Σ p log p less Σ p̄ log p̄."""
        mean = self.chances / self.count
        mixed = mean[mean > 0]
        return float(np.exp(self.certainty / self.count - (mixed * np.log(mixed)).sum()))

    def without(self, other: _Moments) -> _Moments:
        """Of those pictures that `other` has not; rounding leaves no chance below 0."""
        return _Moments(
            self.count - other.count,
            np.maximum(self.chances - other.chances, 0),
            self.certainty - other.certainty,
        )


def _moments(logits: Array | Tensor, rows: Places) -> _Moments:
    chances = np.zeros(logits.shape[1])
    certainty = 0.0
    for at in spans(len(rows), _BLOCK):
        some = torch.as_tensor(logits[rows[at]]).double()
        log_p = some.log_softmax(dim=1)
        p = log_p.exp()
        chances += p.sum(0).cpu().numpy()
        certainty += float((p * log_p).sum())
    return _Moments(len(rows), chances, certainty)


def _jackknife(logits: Array | Tensor, whole: _Moments, groups: Sequence[Places]) -> Jackknife:
    scores = [whole.without(_moments(logits, rows)).score() for rows in groups]
    sizes = np.array([len(rows) for rows in groups], dtype=np.int64)
    return jackknife(whole.score(), [Deleted(np.array(scores), sizes)])


def _parts(size: int, splits: str) -> list[Places]:
    """The rows of each part."""
    if splits == "adm":
        return _cut(np.arange(size), [*range(0, size, _ADM_SIZE), size])
    if size < PARTS:
        raise DataError(f"{size} rows cannot be divided into {PARTS} parts")
    if splits == "torchmetrics":
        step = -(-size // PARTS)
        return _cut(np.arange(size), [*range(0, size, step), size])
    if splits == "dgm-eval":
        return _cut(np.arange(size), [i * (size // PARTS) for i in range(PARTS + 1)])
    order: Places = np.arange(size)
    if splits == "torch-fidelity":
        order = np.random.RandomState(_SHUFFLE_SEED).permutation(size)  # as published
    return _cut(order, [i * size // PARTS for i in range(PARTS + 1)])


def _cut(order: Places, borders: Sequence[int]) -> list[Places]:
    return [order[a:b] for a, b in pairwise(borders)]
