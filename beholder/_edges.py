"""What people say of rows of a score vector: preferences, rankings and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Edges:
    """Preferences between rows of a score vector.

    Attributes:
        pairs: rows (i, j).
        p_first: how strongly i is preferred to j: 1 always, 0 never, 0.5 a tie.
        weight: how much each counts; None counts each once.
    """

    pairs: Int[Tensor, "e 2"]
    p_first: Float[Tensor, " e"]
    weight: Float[Tensor, " e"] | None = None

    @classmethod
    def from_pairs(
        cls,
        pairs: Iterable[tuple[int, int]],
        p_first: Iterable[float],
        weight: Iterable[float] | None = None,
    ) -> Edges:
        """Edges from plain numbers; all may be empty."""
        rows = torch.tensor(list(pairs), dtype=torch.long).reshape(-1, 2)
        weights = None if weight is None else torch.tensor(list(weight), dtype=torch.float32)
        return cls(rows, torch.tensor(list(p_first), dtype=torch.float32), weights)

    @classmethod
    def from_ranks(cls, groups: Sequence[Sequence[int]]) -> Edges:
        """All pairs of several rankings whose pictures lie one after another; equal ranks tie."""
        pairs: list[tuple[int, int]] = []
        p_first: list[float] = []
        start = 0
        for ranks in groups:
            for i, j in combinations(range(len(ranks)), 2):
                pairs.append((start + i, start + j))
                p_first.append(0.5 if ranks[i] == ranks[j] else float(ranks[i] < ranks[j]))
            start += len(ranks)
        return cls.from_pairs(pairs, p_first)

    def __len__(self) -> int:
        return len(self.p_first)

    def margin(self, scores: Float[Tensor, " b"]) -> Float[Tensor, " e"]:
        """score_i - score_j of each edge."""
        return scores[self.pairs[:, 0]] - scores[self.pairs[:, 1]]

    def to(self, device: torch.device | str) -> Edges:
        """The same edges on another device."""
        weight = None if self.weight is None else self.weight.to(device)
        return Edges(self.pairs.to(device), self.p_first.to(device), weight)


@dataclass(frozen=True, slots=True)
class Rankings:
    """Orders of several rows of a score vector each, such as one annotator's ranking of k pictures.

    Attributes:
        rows: of each ranking; -1 fills the shorter ones.
        ranks: of these rows: 1 is best, equal ranks are a tie; 0 fills.
        weight: how much each ranking counts.
    """

    rows: Int[Tensor, "g k"]
    ranks: Int[Tensor, "g k"]
    weight: Float[Tensor, " g"]

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device | str) -> Rankings:
        """The same rankings on another device."""
        return Rankings(self.rows.to(device), self.ranks.to(device), self.weight.to(device))


@dataclass(frozen=True, slots=True)
class Targets:
    """What rows of a score vector should be, such as people's mean ratings.

    Attributes:
        rows: each once.
        values: the target of each.
        weight: how much each counts.
    """

    rows: Int[Tensor, " n"]
    values: Float[Tensor, " n"]
    weight: Float[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device | str) -> Targets:
        """The same targets on another device."""
        return Targets(self.rows.to(device), self.values.to(device), self.weight.to(device))
