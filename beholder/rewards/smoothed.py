"""A reward scored where it falls fastest nearby: sharp peaks, which tuning finds, count less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast, final

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from typing_extensions import override

from beholder.errors import ConfigError
from beholder.rewards._base import Reward, RewardCard, take_options
from beholder.rewards._nested import Spec, built, described, rebuilt
from beholder.rewards._preprocess import straight_through
from beholder.types import Scores

_NORMS = ("l2", "linf")
_SHARPNESS = "sharpness"


@final
class Smoothed(Reward):
    """r(x'), where x' = clamp(x - rho g / |g|, 0, 1) and g is the gradient of r at the picture x.

    Kim & Sim, Reward Sharpness-Aware Fine-Tuning for Diffusion Models, CVPR 2026: their change of
    the picture, in pixels. x' - x counts as a constant, so the gradient of the score is that of r
    at x'. Aspects, maps and words are the reward's at x'; "sharpness" is r(x) - r(x'), how much of
    the score the change takes, as a number without gradient. Costs two passes forward and one
    back, and as much again for its own gradient.

    Args:
        reward: differentiable; any reward of `beholder`.
        rho: how far x' lies from x in each picture, for pixels in [0, 1], before the clamp.
        norm: "l2": |g| is the root mean square over the picture's values, so that rho is the root
            mean square change of a value; "linf": every value changes by rho towards less, g / |g|
            being the sign of g. Where g is 0 or not finite the picture stays as it is.

    Raises:
        ConfigError: if the reward is not differentiable, or an option is out of range.
    """

    card = RewardCard(
        name="smoothed",
        measures="what the reward inside does",
        paper="Kim & Sim, Reward Sharpness-Aware Fine-Tuning for Diffusion Models, CVPR 2026",
        weights_license="the reward's",
        weights="the reward's",
        aspects=(_SHARPNESS,),
        notes=(
            "scores are the reward's at the worst nearby picture, in its own unit and range",
            "rho is a root mean square over a picture's values (norm='l2'), not a sum over them",
            "8-bit pictures are scored as float ones",
        ),
    )

    def __init__(self, reward: Reward, *, rho: float = 0.01, norm: str = "l2") -> None:
        super().__init__()
        _check(reward.card, rho, norm)
        self.reward = reward
        self.rho = float(rho)
        self.norm = norm
        vars(self)["card"] = _card(type(self).card, reward.card)

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Smoothed:
        given = take_options(options, {"reward", "rho", "norm"}, "smoothed")
        return cls(rebuilt(given.pop("reward", None), "the smoothed reward"), **cast("Any", given))

    @override
    def options(self) -> dict[str, object]:
        return {"reward": described(self.reward), "rho": self.rho, "norm": self.norm}

    @override
    def preprocess(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        return pixels / 255 if pixels.dtype == torch.uint8 else pixels

    @override
    def score_prepared(
        self, pixel_values: Float[Tensor, "b 3 h w"], prompts: Sequence[str]
    ) -> Scores:
        before, worst = self._worst(pixel_values, prompts)
        scores = self._scored(straight_through(worst, pixel_values), prompts)
        sharpness = before - scores.total.detach()
        return replace(scores, aspects={**scores.aspects, _SHARPNESS: sharpness})

    def _scored(self, pixels: Float[Tensor, "b 3 h w"], prompts: Sequence[str]) -> Scores:
        return self.reward.score_prepared(self.reward.preprocess(pixels), prompts)

    def _worst(
        self, pixels: Float[Tensor, "b 3 h w"], prompts: Sequence[str]
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b 3 h w"]]:
        """Scores of the pictures, and the pictures a step of rho down the slope; no gradient."""
        with torch.inference_mode(mode=False), torch.enable_grad():
            leaf = pixels.detach().clone().requires_grad_()
            total = self._scored(leaf, prompts).total
            (slope,) = torch.autograd.grad(total.sum(), leaf)
        step = self.rho * direction(slope, self.norm)
        return total.detach(), (pixels.detach() - step).clamp(0, 1)


def build(reward: Spec = "", rho: float = 0.01, norm: str = "l2") -> Smoothed:
    """A smoothed reward.

    Args:
        reward: what `beholder.load` takes as a name, or {reward: name, **its options}, or a reward.
        rho: how far the worst picture lies, for pixels in [0, 1].
        norm: "l2", of which rho is the root mean square; "linf", the change of every value.

    Raises:
        ConfigError: if the reward is unknown or not differentiable, or an option is out of range.
        WeightsError: if its weights are missing or do not fit.
    """
    return Smoothed(built(reward, "smoothed"), rho=rho, norm=norm)


def direction(slope: Float[Tensor, "b 3 h w"], norm: str) -> Float[Tensor, "b 3 h w"]:
    """Each picture's slope over its norm: root mean square 1 ("l2") or signs ("linf").

    A slope that is 0 everywhere, or not finite somewhere, has no direction: 0.
    """
    largest = slope.abs().amax((1, 2, 3), keepdim=True)
    known = largest.isfinite() & (largest > 0)  # a NaN is the largest of all
    if norm == "linf":
        return torch.where(known, slope.sign(), 0.0)
    shares = torch.where(known, slope / largest, 0.0)  # squares of small slopes would underflow
    length = shares.square().mean((1, 2, 3), keepdim=True).sqrt()
    return shares / torch.where(known, length, 1.0)


def _check(card: RewardCard, rho: float, norm: str) -> None:
    if not card.differentiable:
        raise ConfigError(f"{card.name} is not differentiable, and smoothing needs its gradient")
    if _SHARPNESS in card.aspects:
        raise ConfigError(f"{card.name} has an aspect {_SHARPNESS!r} already; smooth a reward once")
    if isinstance(rho, bool) or not isinstance(rho, int | float) or not 0 < rho <= 1:
        raise ConfigError(f"rho must be above 0 and at most 1, got {rho!r}")
    if norm not in _NORMS:
        raise ConfigError(f"norm must be one of {', '.join(_NORMS)}; got {norm!r}")


def _card(card: RewardCard, inner: RewardCard) -> RewardCard:
    return replace(
        card,
        weights_license=inner.weights_license,
        weights=inner.weights,
        score_range=inner.score_range,
        aspects=(*inner.aspects, _SHARPNESS),
        needs_prompt=inner.needs_prompt,
        notes=card.notes + inner.notes,
    )
