"""A reward that kills its process at certain prompts, as a broken decoder does at certain files."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from typing import final

from torch import Tensor
from typing_extensions import override

from beholder.rewards import Reward, RewardCard
from beholder.types import Scores

POISON = "a picture of thing 7,"


@final
class Poisoned(Reward):
    """The mean of all values; whoever scores the prompt POISON dies."""

    card = RewardCard(name="poisoned", paper="none", needs_prompt=True)

    @override
    def preprocess(self, pixels: Tensor) -> Tensor:
        return pixels / 255

    @override
    def options(self) -> dict[str, object]:
        return {}

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Reward:
        return cls()

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        if any(prompt.startswith(POISON) for prompt in prompts):
            os.kill(os.getpid(), signal.SIGKILL)
        return Scores(pixel_values.float().mean((1, 2, 3)))
