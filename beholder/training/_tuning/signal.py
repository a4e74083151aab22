"""A reward as a training signal: one number a picture, with or without gradient."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import BeholderError, ConfigError
from beholder.rewards import Reward
from beholder.training._tuning.views import Views
from beholder.types import Scores


class Signal:
    """The score that is learned from.

    Args:
        reward: whose score; frozen and put in eval mode.
        aspect: "total" or one of its aspects.
        views: what it sees of pictures.

    Raises:
        ConfigError: if the reward has no such aspect.
    """

    def __init__(self, reward: Reward, aspect: str = "total", views: Views | None = None) -> None:
        known = ("total", *reward.card.aspects)
        if aspect not in known:
            raise ConfigError(
                f"reward {reward.card.name} has no aspect {aspect!r}; known: {', '.join(known)}"
            )
        self.reward = reward.requires_grad_(requires_grad=False).eval()
        self.aspect = aspect
        self.views = views or Views()

    def __call__(self, pixels: Float[Tensor, "b 3 h w"], prompts: list[str]) -> Float[Tensor, " b"]:
        """Scores with gradient to the pixels; one that is not finite is NaN.

        Raises BeholderError if no picture has a score.
        """
        scores = self.reward(pixels.float(), prompts)
        return told(self._chosen(scores))

    @torch.no_grad()
    def labels(self, pixels: Float[Tensor, "b 3 h w"], prompts: list[str]) -> Float[Tensor, " b"]:
        """Scores by the reward's `score`, which any reward has; NaN where there is none."""
        scores = self.reward.score(list(pixels.float().clamp(0, 1)), prompts)
        return told(self._chosen(scores), scores.errors.get(0, "")).to(pixels.device)

    def _chosen(self, scores: Scores) -> Tensor:
        return scores.total if self.aspect == "total" else scores.aspects[self.aspect]


def told(values: Float[Tensor, " b"], why: str = "") -> Float[Tensor, " b"]:
    """The values; BeholderError if none is finite."""
    if not values.isfinite().any():
        raise BeholderError(
            f"the reward gave no score for any of {len(values)} pictures"
            f"{f' ({why})' if why else ''}; the run can go on once it does"
        )
    return values
