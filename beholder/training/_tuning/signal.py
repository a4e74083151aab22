"""A reward as a training signal: one number a picture, with or without gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import BeholderError, ConfigError
from beholder.rewards import Reward
from beholder.rewards._base import check_aspect
from beholder.training._tuning.views import Views, apply_views
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
        self.reward = reward.requires_grad_(requires_grad=False).eval()
        self.aspect = check_aspect(reward.card, aspect)
        self.views = views or Views()

    def __call__(
        self,
        pixels: Float[Tensor, "b 3 h w"],
        prompts: Sequence[str],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, " b"]:
        """Scores with gradient to the pixels; NaN where a score or its picture is not finite.

        With a generator the reward sees the pictures through the views, without one as they are.
        Raises ConfigError if the reward gives no gradient, BeholderError if no picture has a score.
        """
        if not self.reward.card.differentiable:
            raise ConfigError(
                f"reward {self.reward.card.name} gives pictures no gradient; "
                "algorithm=dpo and algorithm=nft learn without one"
            )
        rows: list[int] = pixels.detach().isfinite().all(dim=(1, 2, 3)).nonzero()[:, 0].tolist()
        values = pixels.new_full((len(pixels),), math.nan, dtype=torch.float32)
        why = "the pictures are not finite"
        if rows:
            texts = [prompts[row] for row in rows]
            scores = self.reward(self._seen(pixels[rows].float(), texts, generator), texts)
            values[rows] = self.chosen(scores).float()
            why = next(iter(scores.errors.values()), "")
        return told(values, why)

    @torch.no_grad()
    def labels(
        self,
        pixels: Float[Tensor, "b 3 h w"],
        prompts: Sequence[str],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, " b"]:
        """Scores by the reward's `score`, which any reward has; NaN where there is none.

        Views are as above. Raises BeholderError with a reason if no picture has a score.
        """
        seen = self._seen(pixels.float().clamp(0, 1), prompts, generator)
        scores = self.reward.score(list(seen), list(prompts))
        why = next(iter(scores.errors.values()), "")
        return told(self.chosen(scores), why).to(pixels.device)

    def _seen(
        self,
        pixels: Float[Tensor, "b 3 h w"],
        prompts: Sequence[str],
        generator: torch.Generator | None,
    ) -> Float[Tensor, "b 3 h w"]:
        return pixels if generator is None else apply_views(pixels, self.views, generator, prompts)

    def chosen(self, scores: Scores) -> Tensor:
        """Of a reward's scores those that are learned from."""
        return scores.named(self.aspect)


def told(values: Float[Tensor, " b"], why: str = "") -> Float[Tensor, " b"]:
    """The values, NaN for each that is not finite; BeholderError if none is finite."""
    finite = values.isfinite()
    if not finite.any():
        raise BeholderError(
            f"the reward gave no score for any of {len(values)} pictures"
            f"{f' ({why})' if why else ''}; the run can go on once it does"
        )
    return values.masked_fill(~finite, math.nan)


def score_logs(scores: Float[Tensor, " b"]) -> dict[str, Tensor | float]:
    """What is logged of the scores of a batch; NaN where none is finite."""
    known = scores.detach()[scores.isfinite()]
    return {
        "reward/mean": known.mean(),
        "reward/std": known.std(correction=0) if len(known) else known.mean(),
        "reward/failed": float(len(scores) - len(known)),
    }
