"""Rewards that are a function of the cosine between a picture and its prompt."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import cast

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from beholder.rewards._encoded import EncodedReward
from beholder.rewards._precision import at_least_float32
from beholder.rewards._preprocess import Fitting
from beholder.rewards._text_cache import TextCache
from beholder.rewards._towers import Features, Towers
from beholder.types import Scores


class CosineReward(EncodedReward):
    """score = f(cos(picture, text)) on any towers; the cosine is computed in float32.

    A prompt is encoded once, also between calls as long as its encoder is frozen.

    Args:
        towers: the encoders.
    """

    prefix: str = ""
    """What stands before every prompt."""

    def __init__(self, towers: Towers) -> None:
        super().__init__()
        self.towers = towers
        self._texts = TextCache()

    @abstractmethod
    def from_cosine(self, cosine: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """The score of a cosine."""

    @property
    @override
    def fitting(self) -> Fitting:
        return self.towers.preprocess

    @override
    def encode(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Tensor:
        return self.towers.pooled_image(pixel_values)

    @override
    def score_encoded(self, encoded: Tensor | Features, prompts: Sequence[str]) -> Scores:
        return Scores(self.from_cosine(_cosine(cast("Tensor", encoded), self._states(prompts))))

    def prompt_features(self, prompts: Sequence[str]) -> Float[Tensor, "n d"]:
        """The vectors of prompts, `prefix` before each, of length 1, at least in float32.

        A dot product of two is the cosine of the texts, as RefCLIPScore compares them.
        """
        return functional.normalize(at_least_float32(self._states(prompts)), dim=-1)

    def _states(self, prompts: Sequence[str]) -> Float[Tensor, "n d"]:
        texts = [self.prefix + prompt for prompt in prompts]
        (states,) = self._texts.states(
            texts, self.towers, lambda missing: (self.towers.pooled_text(missing),)
        )
        return states

    def forward_features(self, pixel_values: Tensor, input_ids: Tensor) -> Float[Tensor, " b"]:
        """One score a row from prepared inputs: `pixel_values` (b, 3, s, s), `input_ids` (b, l)."""
        images = self.towers.encode_image(pixel_values).pooled
        texts = self.towers.encode_text(input_ids).pooled
        return self.from_cosine(_cosine(images, texts))


def _cosine(first: Float[Tensor, "b d"], second: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
    return functional.cosine_similarity(at_least_float32(first), at_least_float32(second), dim=-1)
