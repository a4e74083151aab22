"""What a reward can be taught from, as `reward.train_reward` sees it: pairs or ratings."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Generic

from beholder.training.fit.loop import Task
from beholder.training.fit.processes import Processes
from beholder.training.judged.data import Sides
from beholder.training.judged.prompts import Judged, PromptWeights
from beholder.training.judged.splits import Leaks
from beholder.training.objectives import Objective
from beholder.training.towers.scorers import Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How judgements are dealt out.

    Attributes:
        batch: judgements in one.
        seed: of the order and of what is held out.
        held_out_share: share of the prompts held out where no others are given.
        leaks: what happens to what stands on both sides.
        prompt_weights: how much a judgement counts.
        to_trained: whether the reward was taught judgements before, and so should agree with these
            from the start.
    """

    batch: int
    seed: int
    held_out_share: float
    leaks: Leaks
    prompt_weights: PromptWeights
    to_trained: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """What `fit` needs, and how many batches of it make an epoch."""

    task: Task[Any]
    batches_per_epoch: int


class Lessons(ABC, Generic[Judged]):
    """Judgements of one kind, to learn from and to judge by.

    Attributes:
        what: the kind, in the plural.
    """

    what: str

    @abstractmethod
    def hashes(self) -> dict[str, str]:
        """What tells these judgements from others, by name."""

    @abstractmethod
    def pictures(self) -> list[str]:
        """The distinct pictures, sorted."""

    @abstractmethod
    def prompts(self) -> list[str]:
        """The distinct prompts, sorted."""

    @abstractmethod
    def sides(
        self, aspects: Sequence[str], unreadable: Mapping[str, str], objective: Objective
    ) -> Sides[Judged]:
        """What to learn from and what to judge by; DataError if one of them is empty or leaks."""

    @abstractmethod
    def task(
        self,
        scorer: Scorer[Any],
        objective: Objective,
        sides: Sides[Judged],
        weights: Mapping[str, float],
        processes: Processes,
    ) -> Course:
        """What `fit` needs, and how long an epoch is."""


def hash_of(judged: Sequence[Any]) -> str:
    """sha256 of judgements, which are dataclasses, and of their order."""
    rows = [asdict(one) for one in judged]
    return sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
