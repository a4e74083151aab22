"""Rewards that hold an engine's model thread where a test wants it, or misbehave."""

import os
import threading
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from beholder.rewards import Reward, RewardCard
from beholder.rewards._preprocess import Fitting, Preprocess
from beholder.types import Scores

SECONDS = 60


class Mean(Reward):
    """Mean pixel in [0, 1] plus the length of the prompt; notes what it was given.

    Attributes:
        batches: pictures of each pass.
        prompts: of every row, in the order of scoring.
        encoded: pictures that were encoded.
    """

    card: ClassVar[RewardCard] = RewardCard(name="mean", paper="none")

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.prompts: list[str] = []
        self.encoded = 0

    @property
    @override
    def fitting(self) -> Fitting | None:
        return Preprocess(size=8, mean=(0, 0, 0), std=(1, 1, 1))

    @override
    def preprocess(self, pixels: Tensor) -> Tensor:
        assert self.fitting is not None
        return self.fitting(pixels)

    @override
    def encode(self, pixel_values: Tensor) -> Tensor:
        self.encoded += len(pixel_values)
        return pixel_values

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        self.batches.append(len(prompts))
        self.prompts += prompts
        lengths = torch.tensor([float(len(prompt)) for prompt in prompts])
        return Scores(pixel_values.mean((1, 2, 3)) + lengths)

    @override
    def options(self) -> dict[str, object]:
        return {}

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Reward:
        return cls()


class Gated(Mean):
    """Waits in each pass until the test opens the gate.

    Attributes:
        entered: set once a pass has begun.
        gate: set by the test.
    """

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.gate = threading.Event(), threading.Event()

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        self.entered.set()
        assert self.gate.wait(SECONDS)
        return super().score_prepared(pixel_values, prompts)


class Sluggish(Mean):
    """Takes so many seconds a picture, by a clock of its own."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.now = seconds, 0.0

    def clock(self) -> float:
        return self.now

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        self.now += self.seconds * len(prompts)
        return super().score_prepared(pixel_values, prompts)


class Promptless(Mean):
    """Needs no prompt and sees whole pictures."""

    card = RewardCard(name="promptless", paper="none", needs_prompt=False)

    @property
    @override
    def fitting(self) -> Fitting | None:
        return None

    @override
    def preprocess(self, pixels: Tensor) -> Tensor:
        return pixels / 255 if pixels.dtype == torch.uint8 else pixels


class Picky(Mean):
    """Raises what `raised` says of the word in the prompt; "nothing" gives NaN."""

    raised: ClassVar[Mapping[str, Exception]] = {
        "key": KeyError("a secret prompt"),
        "memory": MemoryError(),
        "broken": RuntimeError("CUDA error: device-side assert triggered"),
    }

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        for prompt in prompts:
            if prompt in self.raised:
                raise self.raised[prompt]
        scores = super().score_prepared(pixel_values, prompts)
        for row, prompt in enumerate(prompts):
            if prompt == "nothing":
                scores.total[row] = torch.nan
        return scores


class Clumsy(Mean):
    """Takes `most` pictures at once."""

    def __init__(self, most: int = 2) -> None:
        super().__init__()
        self.most = most

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        if len(prompts) > self.most:
            raise RuntimeError("out of memory")
        return super().score_prepared(pixel_values, prompts)


class Printing(Picky):
    """Prints in each pass, as libraries do."""

    @override
    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        os.write(1, b"printed by a library\n")
        return super().score_prepared(pixel_values, prompts)


def explode() -> Reward:
    """A reward of somebody's own that cannot be made."""
    raise KeyError("no weights")
