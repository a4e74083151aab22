"""Preferences into batches: which pairs, in which order, as nodes (pictures) and edges (pairs)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Generic, Protocol, TypeVar, runtime_checkable

from jaxtyping import Int
from torch import Tensor

from beholder.errors import DataError
from beholder.rewards._base import distinct, prompt_fault
from beholder.training.epochs import Epochs
from beholder.types import Edges, Preference


@runtime_checkable
class Prompted(Protocol):
    """A judgement of what was made for a prompt."""

    @property
    def prompt(self) -> str:
        """The prompt."""


Judged = TypeVar("Judged", bound=Prompted)


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs as edges between rows of a score vector; each picture and prompt is there once.

    Attributes:
        pictures, prompts: the distinct ones.
        picture_rows, prompt_rows: for each row to score, its picture and its prompt.
        edges: aspect -> the pairs that were answered for it.
    """

    pictures: tuple[str, ...]
    prompts: tuple[str, ...]
    picture_rows: Int[Tensor, " b"]
    prompt_rows: Int[Tensor, " b"]
    edges: Mapping[str, Edges]

    @property
    def texts(self) -> list[str]:
        """The prompt of each row."""
        return [self.prompts[k] for k in self.prompt_rows.tolist()]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A judgement that cannot be learned from; `reason` is "code: why"."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sides(Generic[Judged]):
    """Judgements to learn from, ones to judge by, and ones that can serve for neither."""

    training: list[Judged]
    held_out: list[Judged]
    dropped: list[Dropped]


def make_batch(preferences: Sequence[Preference], aspects: Collection[str]) -> Batch:
    """The pairs as one batch; of their answers, those for `aspects`."""
    nodes: dict[tuple[str, str], int] = {}
    answers: dict[str, list[tuple[tuple[int, int], float]]] = {}
    for preference in preferences:
        first, second = (
            nodes.setdefault((picture, preference.prompt), len(nodes))
            for picture in (preference.first, preference.second)
        )
        for aspect, p_first in preference.p_first.items():
            if aspect in aspects:
                answers.setdefault(aspect, []).append(((first, second), p_first))
    pictures, picture_rows = distinct([picture for picture, _ in nodes])
    prompts, prompt_rows = distinct([prompt for _, prompt in nodes])
    edges = {a: Edges.from_pairs(*zip(*answers[a], strict=True)) for a in sorted(answers)}
    return Batch(tuple(pictures), tuple(prompts), picture_rows, prompt_rows, edges)


class PairStream:
    """An endless stream of batches, each a pure function of its number and the seed.

    Every epoch visits each pair once. Pairs of one prompt stay together, so that a picture they
    share is encoded once, but never fill more than half a batch at a stretch.

    Args:
        preferences: the pairs.
        aspects: whose answers to take.
        pairs: in a batch; the last one of an epoch may hold fewer.
        seed: of the order.

    Raises DataError if there are no preferences.
    """

    def __init__(
        self, preferences: Sequence[Preference], aspects: Collection[str], pairs: int, seed: int
    ) -> None:
        if not preferences:
            raise DataError("there is no pair to learn from")
        self._preferences = preferences
        self._aspects = frozenset(aspects)
        self._epochs = Epochs(_stretches(preferences, max(1, pairs // 2)), pairs, seed)
        self.batches_per_epoch = self._epochs.batches

    def batch(self, number: int) -> Batch:
        """Batch `number` of the stream, from 0."""
        rows = self._epochs.rows(number)
        return make_batch([self._preferences[k] for k in rows], self._aspects)

    def batches(self, start: int, stride: int) -> Iterator[Batch]:
        """Batches start, start + stride, … without end: the share of one of `stride` processes."""
        return map(self.batch, count(start, stride))


def in_order(
    preferences: Sequence[Preference], aspects: Collection[str], pairs: int
) -> list[Batch]:
    """All pairs once, prompt by prompt, in batches: for evaluation."""
    order = [k for group in _stretches(preferences, len(preferences)) for k in group]
    return [
        make_batch([preferences[k] for k in order[at : at + pairs]], aspects)
        for at in range(0, len(order), pairs)
    ]


def divide(
    preferences: Sequence[Preference],
    evaluation: Sequence[Preference] | None,
    aspects: Collection[str],
    unreadable: Mapping[str, str],
    *,
    share: float,
    seed: int,
) -> Sides[Preference]:
    """Pairs to learn from and to judge by, without those that cannot be used.

    Without an `evaluation`, prompts are held out as `split_by_prompt` does; none if `share` is 0.
    Raises DataError if no pair is left to learn from, or none to judge by that is not a tie.
    """
    training, dropped = usable(preferences, aspects, unreadable)
    held_out: list[Preference] = []
    if evaluation is not None:
        held_out, more = usable(evaluation, aspects, unreadable)
        dropped += more
    elif share > 0 and training:
        training, held_out = split_by_prompt(training, share, seed)
    if not training:
        raise DataError(f"no pair is left to learn from; dropped: {counts(dropped)}")
    answers = (p for row in held_out for a, p in row.p_first.items() if a in aspects)
    if (evaluation is not None or share > 0) and all(p == 0.5 for p in answers):
        raise DataError("no held-out pair has an answer that is not a tie; give an evaluation set")
    return Sides(training, held_out, dropped)


def usable(
    preferences: Sequence[Preference], aspects: Collection[str], unreadable: Mapping[str, str]
) -> tuple[list[Preference], list[Dropped]]:
    """Pairs that can be learned from, and the others with the reason.

    `unreadable` says of each picture that cannot be read why.
    """
    kept, dropped = [], []
    for preference in preferences:
        if why := _fault(preference, aspects, unreadable):
            dropped.append(Dropped(preference.key, why))
        else:
            kept.append(preference)
    return kept, dropped


def counts(dropped: Sequence[Dropped]) -> dict[str, int]:
    """How often each code occurs, the most frequent first."""
    return dict(Counter(d.reason.partition(":")[0] for d in dropped).most_common())


def split_by_prompt(
    judged: Sequence[Judged], share: float, seed: int
) -> tuple[list[Judged], list[Judged]]:
    """Judgements to learn from and held out: about `share` of the prompts, at least one.

    A prompt's side depends on its text and the seed alone as long as their number stays the same.
    Raises DataError if all have one prompt.
    """
    prompts = sorted({p.prompt for p in judged}, key=lambda text: _draw(text, seed))
    if len(prompts) < 2:
        raise DataError(
            "all judgements have one prompt, so no prompt can be held out; "
            "give an evaluation set, or held_out_share=0 to train without"
        )
    held_out = set(prompts[: max(1, round(share * len(prompts)))])
    return (
        [p for p in judged if p.prompt not in held_out],
        [p for p in judged if p.prompt in held_out],
    )


def pictures_of(preferences: Sequence[Preference]) -> list[str]:
    """The distinct pictures, sorted."""
    return sorted({picture for p in preferences for picture in (p.first, p.second)})


def _stretches(preferences: Sequence[Preference], longest: int) -> list[list[int]]:
    """Rows of the same prompt, in stretches of at most `longest`, by order of appearance."""
    groups: dict[str, list[int]] = {}
    for row, preference in enumerate(preferences):
        groups.setdefault(preference.prompt, []).append(row)
    return [
        group[at : at + longest]
        for group in groups.values()
        for at in range(0, len(group), longest)
    ]


def _fault(
    preference: Preference, aspects: Collection[str], unreadable: Mapping[str, str]
) -> str | None:
    if not set(preference.p_first) & set(aspects):
        return f"no-answer: none of {', '.join(sorted(aspects))} was answered"
    if preference.first == preference.second:
        return f"same-picture: {preference.first} is compared with itself"
    if why := prompt_fault(preference.prompt):
        return f"prompt: {why}"
    pictures = (preference.first, preference.second)
    return next((unreadable[p] for p in pictures if p in unreadable), None)


def _draw(text: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {text}".encode(), digest_size=8).digest()
