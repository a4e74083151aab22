"""Rewards that read one state of a picture and one of its prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from beholder.rewards._encoded import EncodedReward
from beholder.rewards._precision import at_least_float32
from beholder.rewards._preprocess import Fitting
from beholder.rewards._text_cache import TextCache
from beholder.rewards._towers import Features, Towers
from beholder.rewards._towers._pooled import pooled_alone


class PooledReward(EncodedReward):
    """A score from the pooled states of any towers, which are all that a trainer has to keep.

    Head of the reward are the projections of both towers and what comes after them. A tower whose
    pool gives states of the shared space, as SigLIP's and that of open_clip's ResNets, has no
    projection: the pool belongs to the tower. A prompt is encoded once, also between calls as long
    as its encoder is frozen.

    Args:
        towers: the encoders.
    """

    prefix: str = ""
    """What stands before every prompt."""

    def __init__(self, towers: Towers) -> None:
        super().__init__()
        self.towers = towers
        self._texts = TextCache()

    @property
    @override
    def fitting(self) -> Fitting:
        return self.towers.preprocess

    def image_backbone(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Features:
        """Pooled picture states before projection, without tokens."""
        return self.towers.pooled_image_backbone(pixel_values)

    def text_backbone(self, texts: Sequence[str]) -> Features:
        """The same of prompts, `prefix` before each; each distinct prompt is encoded once."""

        def encode(missing: list[str]) -> tuple[Tensor, Tensor]:
            states = self.towers.pooled_text_backbone(missing)
            return states.tokens, states.pooled

        prefixed = [self.prefix + text for text in texts]
        return Features(*self._texts.states(prefixed, self.towers, encode))

    def condition_features(self) -> Features:
        """No rows: the reward has no texts of its own."""
        return pooled_alone(torch.zeros(0, 0, device=self.device))

    def feature_options(self) -> dict[str, object]:
        """What picture states depend on beside the towers' weights."""
        return {"towers": self.towers.options(), "states": "pooled"}


def unit(vectors: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """The vectors at length 1, at least in float32."""
    return functional.normalize(at_least_float32(vectors), dim=-1)
