"""Prepared feedback into batches: which pictures, in which order, moved how, with what targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from beholder.errors import DataError
from beholder.training.augment import Augmentation, draw, moved
from beholder.training.feedback_store import Example, FeedbackStore
from beholder.training.judged.data import Sides, counts
from beholder.training.judged.epochs import Epochs
from beholder.training.judged.prompts import split_by_prompt
from beholder.types import MAPS, RATED


@dataclass(frozen=True, slots=True)
class FeedbackBatch:
    """b pictures and what annotators said of them.

    Attributes:
        pictures: sRGB in [0, 1] at the side that the model sees.
        prompts: one a picture.
        ratings, rated: by the order of `RATED`; 0 where not rated.
        maps, drawn: by the order of `MAPS`, in [0, 1]; 0 where not drawn.
        words: for each word of the prompt the share of annotators who miss it; empty if unknown.
    """

    pictures: Float[Tensor, "b 3 s t"]
    prompts: Sequence[str]
    ratings: Float[Tensor, "b 4"]
    rated: Bool[Tensor, "b 4"]
    maps: Float[Tensor, "b 2 m m"]
    drawn: Bool[Tensor, "b 2"]
    words: Sequence[Float[Tensor, " _"]]

    def __len__(self) -> int:
        return len(self.prompts)

    def to(self, device: torch.device) -> FeedbackBatch:
        """The same batch on another device."""
        return replace(
            self,
            pictures=self.pictures.to(device),
            ratings=self.ratings.to(device),
            rated=self.rated.to(device),
            maps=self.maps.to(device),
            drawn=self.drawn.to(device),
            words=[shares.to(device) for shares in self.words],
        )


def make_batch(store: FeedbackStore, examples: Sequence[Example]) -> FeedbackBatch:
    """The examples of a store as one batch, unmoved."""
    rows = [example.row for example in examples]
    values = [[e.values.get(aspect, 0.0) for aspect in RATED] for e in examples]
    return FeedbackBatch(
        pictures=store.pictures(rows).float() / 255,
        prompts=[example.prompt for example in examples],
        ratings=torch.tensor(values, dtype=torch.float32),
        rated=torch.tensor([[aspect in e.values for aspect in RATED] for e in examples]),
        maps=store.maps(rows).float() / 255,
        drawn=torch.tensor([[kind in e.maps for kind in MAPS] for e in examples]),
        words=[torch.tensor(list(e.words), dtype=torch.float32) for e in examples],
    )


class FeedbackStream:
    """An endless stream of moved batches, each a pure function of its number and the seed.

    Every epoch visits each picture once.

    Args:
        store: where the examples lie.
        examples: to learn from.
        pictures: in a batch; the last one of an epoch may hold fewer.
        augmentation: how they are moved.
        seed: of order and moves.
    """

    def __init__(
        self,
        store: FeedbackStore,
        examples: Sequence[Example],
        pictures: int,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        self._store = store
        self._examples = examples
        self._augmentation = augmentation
        self._seed = seed
        self._epochs = Epochs([[k] for k in range(len(examples))], pictures, seed)

    def batch(self, number: int) -> FeedbackBatch:
        """Batch `number` of the stream, from 0."""
        examples = [self._examples[k] for k in self._epochs.rows(number)]
        batch = make_batch(self._store, examples)
        random = np.random.default_rng([self._seed, number, 1])  # 1: not the order's numbers
        moves = draw(self._augmentation, batch.prompts, random)
        pictures, maps = moved(batch.pictures, batch.maps, moves)
        return replace(batch, pictures=pictures, maps=maps)

    def batches(self, start: int, stride: int) -> Iterator[FeedbackBatch]:
        """Batches start, start + stride, … without end: the share of one of `stride` processes."""
        return map(self.batch, count(start, stride))


class HeldOut:
    """Held-out pictures, unmoved and in order; all processes agree on the batches."""

    def __init__(self, store: FeedbackStore, examples: Sequence[Example], pictures: int) -> None:
        self._store = store
        starts = range(0, len(examples), pictures)
        self._chunks = [examples[start : start + pictures] for start in starts]
        rated = {a: [e.values[a] for e in examples if a in e.values] for a in RATED}
        self.means = {a: float(np.mean(values)) if values else 0.0 for a, values in rated.items()}

    def batches(self, rank: int, processes: int) -> Iterator[FeedbackBatch]:
        """The share of one process."""
        for chunk in self._chunks[rank::processes]:
            yield make_batch(self._store, chunk)


def divide_feedback(
    store: FeedbackStore, evaluation: FeedbackStore | None, *, share: float, seed: int
) -> Sides[Example]:
    """Examples to learn from and to judge by, with all that was dropped.

    Without an `evaluation`, prompts are held out as `split_by_prompt` does; none if `share` is 0.
    Raises DataError if nothing is left to learn from or to judge by.
    """
    training, held_out, dropped = store.examples, list[Example](), store.dropped
    if evaluation is not None:
        held_out, dropped = evaluation.examples, [*dropped, *evaluation.dropped]
    elif share > 0 and training:
        training, held_out = split_by_prompt(training, share, seed)
    if not training:
        raise DataError(f"no picture is left to learn from; dropped: {counts(dropped)}")
    if evaluation is not None and not held_out:
        raise DataError(f"no held-out picture can be used; dropped: {counts(dropped)}")
    return Sides(training, held_out, dropped)
