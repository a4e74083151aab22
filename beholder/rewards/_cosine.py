"""Rewards that are a function of the cosine between a picture and its prompt."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import cast

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from beholder.rewards._pooled_reward import PooledReward, unit
from beholder.rewards._precision import at_least_float32
from beholder.rewards._towers import Embeddings, Features
from beholder.types import Scores


class CosineReward(PooledReward):
    """score = f(cos(picture, text)) on any towers; the cosine is computed in float32.

    Args:
        towers: the encoders.
    """

    @abstractmethod
    def from_cosine(self, cosine: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """The score of a cosine."""

    @override
    def encode(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Tensor:
        return self.towers.pooled_image(pixel_values)

    @override
    def score_encoded(self, encoded: Tensor | Features, prompts: Sequence[str]) -> Scores:
        return Scores(self.from_cosine(_cosine(cast("Tensor", encoded), self._states(prompts))))

    def score_features(
        self, images: Features, texts: Features, conditions: Features | None = None
    ) -> Scores:
        """Scores of such states, one text a picture; there are no `conditions` to look at."""
        pictures, prompts = self.towers.project_image(images), self.towers.project_text(texts)
        return Scores(self.from_cosine(_cosine(pictures.pooled, prompts.pooled)))

    def embeddings(self, images: Features, texts: Features) -> Embeddings:
        """What the cosine compares, at least in float32, from the states of both backbones."""
        pictures, prompts = self.towers.project_image(images), self.towers.project_text(texts)
        return Embeddings(
            unit(pictures.pooled), unit(prompts.pooled), at_least_float32(self.towers.logit_scale)
        )

    def prompt_features(self, prompts: Sequence[str]) -> Float[Tensor, "n d"]:
        """The vectors of prompts, `prefix` before each, of length 1, at least in float32.

        A dot product of two is the cosine of the texts, as RefCLIPScore compares them.
        """
        return unit(self._states(prompts))

    def _states(self, prompts: Sequence[str]) -> Float[Tensor, "n d"]:
        return self.towers.project_text(self.text_backbone(prompts)).pooled

    def forward_features(self, pixel_values: Tensor, input_ids: Tensor) -> Float[Tensor, " b"]:
        """One score a row from prepared inputs: `pixel_values` (b, 3, s, s), `input_ids` (b, l)."""
        images = self.towers.encode_image(pixel_values).pooled
        texts = self.towers.encode_text(input_ids).pooled
        return self.from_cosine(_cosine(images, texts))


def _cosine(first: Float[Tensor, "b d"], second: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
    return functional.cosine_similarity(at_least_float32(first), at_least_float32(second), dim=-1)
