"""Rewards whose pictures are encoded without their prompts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from jaxtyping import Float, Shaped
from torch import Tensor
from typing_extensions import override

from beholder.rewards._base import Reward
from beholder.rewards._preprocess import Fitting
from beholder.rewards._towers import Features
from beholder.types import Scores


class EncodedReward(Reward):
    """A score from what a picture's encoder says and the prompt: a picture is encoded once.

    Its `fitting` shrinks pictures ahead and, called, prepares them.
    """

    @property
    @abstractmethod
    @override
    def fitting(self) -> Fitting: ...

    @override
    def preprocess(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        return self.fitting(pixels)

    @abstractmethod
    @override
    def encode(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Tensor | Features: ...

    @abstractmethod
    @override
    def score_encoded(self, encoded: Tensor | Features, prompts: Sequence[str]) -> Scores: ...

    @override
    def score_prepared(
        self, pixel_values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]
    ) -> Scores:
        return self.score_encoded(self.encode(pixel_values), prompts)
