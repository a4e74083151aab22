"""The gradient of scores with respect to latents, picture by picture."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import ConfigError
from beholder.training._pipeline.noise import wide as wide
from beholder.training._tuning.signal import Signal


def score_gradient(
    scores: Float[Tensor, " b"], pixels: Float[Tensor, "b 3 h w"], latents: Tensor
) -> Tensor:
    """∂ score / ∂ latents of each picture in float32; 0 for a picture without a finite one.

    On the way scores are weighed by the root of the number of pixel values, so that the gradient
    at a pixel, which is about one in that number, lies well inside the range of half precision.
    """
    weight = math.sqrt(pixels[0].numel())
    (weighed,) = torch.autograd.grad(scores.nansum() * weight, latents)
    gradient: Tensor = weighed.float() / weight
    is_known = gradient.flatten(1).isfinite().all(1) & scores.isfinite()
    gradient[~is_known] = 0
    return gradient


def per_picture_norm(values: Tensor) -> Float[Tensor, " b"]:
    """Euclidean norm of each picture's values (b, …)."""
    norms: Tensor = values.float().flatten(1).norm(dim=1)
    return norms


def require_gradient(signal: Signal) -> None:
    """Raise ConfigError if no gradient of the reward reaches the pixels."""
    card = signal.reward.card
    if not card.differentiable:
        raise ConfigError(
            f"reward {card.name} gives no gradient; choose pictures with it instead: best_of or "
            "early_rejection"
        )
