"""A reward that kills its process at certain prompts, as a broken decoder does at certain files."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import final

from torch import Tensor
from typing_extensions import override

from beholder.rewards import RewardCard
from beholder.types import Scores
from benchmarks._pixel_mean import PixelMean

POISON = "a picture of thing 7,"


@final
class Poisoned(PixelMean):
    """Whoever scores the prompt POISON dies."""

    card = RewardCard(name="poisoned", paper="none", needs_prompt=True)

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        if any(prompt.startswith(POISON) for prompt in prompts):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score_prepared(pixel_values, prompts)
