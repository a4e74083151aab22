"""Preferences into batches: which pairs, in which order, as nodes (pictures) and edges (pairs)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, repeat
from typing import Generic

import torch
from jaxtyping import Int
from torch import Tensor

from beholder.errors import DataError
from beholder.rewards._base import distinct, prompt_fault
from beholder.training.judged.epochs import Epochs, WholeEpochs
from beholder.training.judged.mixing import MixedEpochs, Mixture
from beholder.training.judged.prompts import Judged, by_prompt
from beholder.training.judged.rankings import Node, apart, make_rankings, orders_weight, questions
from beholder.types import Edges, Preference, Rankings, Targets


@dataclass(frozen=True, slots=True)
class Batch:
    """Judgements of rows of a score vector; each picture and prompt is there once.

    Attributes:
        pictures, prompts: the distinct ones.
        picture_rows, prompt_rows: for each row to score, its picture and its prompt.
        edges: aspect -> the pairs that were answered for it.
        rankings: aspect -> the orders that these pairs come from, where they were asked for.
        targets: aspect -> what rows were rated; of a batch of ratings, which has no edges.
    """

    pictures: tuple[str, ...]
    prompts: tuple[str, ...]
    picture_rows: Int[Tensor, " b"]
    prompt_rows: Int[Tensor, " b"]
    edges: Mapping[str, Edges] = field(default_factory=dict)
    rankings: Mapping[str, Rankings] = field(default_factory=dict)
    targets: Mapping[str, Targets] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """The prompt of each row."""
        return [self.prompts[k] for k in self.prompt_rows.tolist()]

    def judged_on(self, device: torch.device | str) -> Batch:
        """The same batch with its edges, rankings and targets on another device."""
        return replace(
            self,
            edges={aspect: e.to(device) for aspect, e in self.edges.items()},
            rankings={aspect: r.to(device) for aspect, r in self.rankings.items()},
            targets={aspect: t.to(device) for aspect, t in self.targets.items()},
        )


@dataclass(frozen=True, slots=True)
class Dropped:
    """A judgement that cannot be learned from; `reason` is "code: why"."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sides(Generic[Judged]):
    """Judgements to learn from, ones to judge by, and ones that can serve for neither.

    `told` are further facts about them for `summary.json`.
    """

    training: list[Judged]
    held_out: list[Judged]
    dropped: list[Dropped]
    told: Mapping[str, object] = field(default_factory=dict)


def make_batch(
    preferences: Sequence[Preference],
    aspects: Collection[str],
    weights: Sequence[float] | None = None,
    *,
    ranked: bool = False,
) -> Batch:
    """The pairs as one batch; of their answers, those for `aspects`.

    Args:
        preferences: the pairs.
        aspects: whose answers to take.
        weights: how much each pair counts; None counts each once.
        ranked: whether to find the rankings that the pairs come from; see `make_rankings`.
    """
    nodes: dict[Node, int] = {}
    for p in preferences:
        for picture in (p.first, p.second):
            nodes.setdefault((picture, p.prompt), len(nodes))
    pictures, picture_rows = distinct([picture for picture, _ in nodes])
    prompts, prompt_rows = distinct([prompt for _, prompt in nodes])
    wanted = frozenset(aspects)
    return Batch(
        pictures=tuple(pictures),
        prompts=tuple(prompts),
        picture_rows=picture_rows,
        prompt_rows=prompt_rows,
        edges=_edges(preferences, nodes, wanted, weights),
        rankings=make_rankings(preferences, nodes, wanted, weights) if ranked else {},
    )


class PairStream:
    """An endless stream of batches, each a pure function of its number and the seed.

    Every epoch visits each pair once. Pairs of one prompt stay together, so that a picture they
    share is encoded once, but never fill more than half a batch at a stretch.

    Args:
        preferences: the pairs.
        aspects: whose answers to take.
        pairs: in a batch; the last one of an epoch may hold fewer.
        seed: of the order.
        weights: how much each pair counts; None counts each once.
        ranked: whether batches tell the rankings that pairs come from. Then no ranking is torn: a
            batch has `pairs`, or as many as the longest ranking has, give or take a ranking.
        mixture: sets of the pairs, each an epoch of its own, and what share comes from each; None
            is a single set.

    Attributes:
        batches_per_epoch: that visit each pair once; of a mixture, that hold as many pairs as all
            sets together.

    Raises DataError if there are no preferences.
    """

    def __init__(
        self,
        preferences: Sequence[Preference],
        aspects: Collection[str],
        pairs: int,
        seed: int,
        *,
        weights: Sequence[float] | None = None,
        ranked: bool = False,
        mixture: Mixture | None = None,
    ) -> None:
        if not preferences:
            raise DataError("there is no pair to learn from")
        preferences = apart(preferences, aspects) if ranked else preferences
        self._preferences = preferences
        self._aspects = frozenset(aspects)
        self._weights = weights
        self._ranked = ranked
        self._sets = [range(len(preferences))] if mixture is None else mixture.sets
        self._order = _order(preferences, pairs, seed, ranked, mixture)
        self.batches_per_epoch = self._order.batches

    def batch(self, number: int) -> Batch:
        """Batch `number` of the stream, from 0."""
        rows = self._order.rows(number)
        weights = None if self._weights is None else [self._weights[k] for k in rows]
        chosen = [self._preferences[k] for k in rows]
        return make_batch(chosen, self._aspects, weights, ranked=self._ranked)

    def batches(self, start: int, stride: int) -> Iterator[Batch]:
        """Batches start, start + stride, … without end: the share of one of `stride` processes."""
        return map(self.batch, count(start, stride))

    def mean_weight(self, aspects: Mapping[str, float]) -> float:
        """How much the answers of a batch count together, on average over all batches.

        An answer, or an order where batches tell rankings, counts by its weight times that of its
        aspect in `aspects`. Divided by this, the sums of weighed losses of an epoch's batches have
        the mean over all its answers as their mean.
        """
        return sum(
            visits * self._weight_of(rows, aspects)
            for visits, rows in zip(self._order.visits, self._sets, strict=True)
        )

    def _weight_of(self, rows: Sequence[int], aspects: Mapping[str, float]) -> float:
        chosen = [self._preferences[k] for k in rows]
        weights = None if self._weights is None else [self._weights[k] for k in rows]
        if self._ranked:
            return orders_weight(chosen, aspects, weights)
        return sum(
            own * sum(weight for aspect, weight in aspects.items() if aspect in p.p_first)
            for p, own in zip(chosen, weights or repeat(1.0), strict=False)
        )


def in_order(
    preferences: Sequence[Preference],
    aspects: Collection[str],
    pairs: int,
    *,
    ranked: bool = False,
) -> list[Batch]:
    """All pairs once, prompt by prompt, in batches: for evaluation.

    With `ranked` batches tell the rankings of the pairs and tear none; they may then hold more.
    """
    preferences = apart(preferences, aspects) if ranked else preferences
    groups = by_prompt(preferences, range(len(preferences)), len(preferences))
    units = questions(preferences, [k for g in groups for k in g]) if ranked else _singly(groups)
    batches: list[list[int]] = [[]]
    for unit in units:
        if batches[-1] and len(batches[-1]) + len(unit) > pairs:
            batches.append([])
        batches[-1] += unit
    return [make_batch([preferences[k] for k in b], aspects, ranked=ranked) for b in batches if b]


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


def pictures_of(preferences: Sequence[Preference]) -> list[str]:
    """The distinct pictures, sorted."""
    return sorted({picture for p in preferences for picture in (p.first, p.second)})


def _order(
    preferences: Sequence[Preference],
    pairs: int,
    seed: int,
    ranked: bool,
    mixture: Mixture | None,
) -> Epochs | WholeEpochs | MixedEpochs:
    def units(rows: Sequence[int]) -> list[list[list[int]]]:
        if ranked:
            groups = by_prompt(preferences, rows, len(rows))
            return [questions(preferences, group) for group in groups]
        return [_singly([group]) for group in by_prompt(preferences, rows, max(1, pairs // 2))]

    if mixture is not None:
        return MixedEpochs([units(rows) for rows in mixture.sets], mixture.shares, pairs, seed)
    everything = range(len(preferences))
    if ranked:
        return WholeEpochs(units(everything), pairs, seed)
    return Epochs(by_prompt(preferences, everything, max(1, pairs // 2)), pairs, seed)


def _singly(groups: Sequence[Sequence[int]]) -> list[list[int]]:
    return [[row] for group in groups for row in group]


def _edges(
    preferences: Sequence[Preference],
    nodes: Mapping[Node, int],
    aspects: frozenset[str],
    weights: Sequence[float] | None,
) -> dict[str, Edges]:
    rows = {
        aspect: [k for k, p in enumerate(preferences) if aspect in p.p_first]
        for aspect in sorted(aspects & {a for p in preferences for a in p.p_first})
    }
    ends = [(nodes[p.first, p.prompt], nodes[p.second, p.prompt]) for p in preferences]
    return {
        aspect: Edges.from_pairs(
            [ends[k] for k in answered],
            [preferences[k].p_first[aspect] for k in answered],
            None if weights is None else [weights[k] for k in answered],
        )
        for aspect, answered in rows.items()
    }


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
