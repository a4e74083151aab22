"""Losses of tuning a pipeline through the gradient of a reward: pure functions, with equations."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from beholder.errors import DataError


def refl_loss(scores: Float[Tensor, " b"], target: float, scale: float = 1.0) -> Float[Tensor, ""]:
    """relu(target - r) / scale, mean over the scores r that are finite.

    A score pulls until it reaches the target and not beyond (Xu et al., 2023, section 3; their
    published code has the target 2 for scores of mean 0 and standard deviation 1).

    Raises DataError if no score is finite.
    """
    return ((target - finite(scores)) / scale).relu().mean()


def draft_loss(
    scores: Float[Tensor, " b"], mean: float = 0.0, scale: float = 1.0
) -> Float[Tensor, ""]:
    """-(r - mean) / scale, mean over the scores r that are finite (Clark et al., 2024, eq. 1).

    Raises DataError if no score is finite.
    """
    return ((mean - finite(scores)) / scale).mean()


def output_distance(output: Tensor, reference: Tensor) -> Float[Tensor, ""]:
    """Mean squared difference of two outputs of a denoiser, in float32.

    Of two Gaussian steps of a sampler with the same variance it is the KL divergence up to a
    factor that depends on the step alone.
    """
    return (output.float() - reference.float()).square().mean()


def finite(scores: Float[Tensor, " b"]) -> Float[Tensor, " n"]:
    """The scores that are finite; DataError if there are none."""
    found = scores[scores.isfinite()]
    if len(found) == 0:
        raise DataError(f"none of {len(scores)} scores is finite, so the loss is not defined")
    return found


def saturated(scores: Float[Tensor, " b"], target: float) -> Float[Tensor, ""]:
    """Share of the finite scores that have reached the target; DataError if none is finite."""
    return (finite(scores) >= target).float().mean()
