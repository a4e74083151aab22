"""Losses of preference optimisation on denoising errors: pure functions, each with its equation.

A denoising error m is the squared error of the model's output, mean over all values of a latent;
the number of diffusion steps of the papers is part of β. Errors of a preferred picture, "w", and of
the other, "l", are at the same time and with the same noise; "ref" are those of the model before
tuning. The smaller an error against the reference's, the likelier the picture became.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Errors = Float[Tensor, " b"]

_LEAST_DISTANCE = 1e-5
_LEAST_SPREAD = 1e-6  # of a score: what rounding alone makes of equal ones


def denoising_errors(output: Tensor, target: Tensor) -> Errors:
    """Squared error of each latent, mean over its values, in float32."""
    return (output.float() - target.float()).square().flatten(1).mean(1)


def preference_logits(
    m_w: Errors, m_l: Errors, ref_w: Errors, ref_l: Errors, beta: float
) -> Errors:
    """Log-odds with which the model prefers w (Wallace et al., CVPR 2024, eq. 14).

    z = -β/2 [(m_w - m_l) - (ref_w - ref_l)]; 0 for the model before tuning.
    """
    return -beta / 2 * ((m_w - m_l) - (ref_w - ref_l))


def dpo_loss(logits: Errors, p: Errors) -> Float[Tensor, ""]:
    """Diffusion-DPO's loss -log sigmoid(z), mean over pairs (Wallace et al., CVPR 2024, eq. 14).

    `p` is the probability that w is truly preferred: with p < 1 both orders count, each with its
    probability, -p log sigmoid(z) - (1 - p) log sigmoid(-z) (cDPO: Mitchell, 2023).
    """
    return functional.binary_cross_entropy_with_logits(logits, p)


def ipo_loss(logits: Errors, p: Errors) -> Float[Tensor, ""]:
    """IPO's loss (z - 1/2)², mean over pairs (Azar et al., AISTATS 2024, eq. 17), times β².

    The log-odds of a pair stop growing at 1/2. Both orders count with `p` as in `dpo_loss`.
    """
    return (p * (logits - 0.5).square() + (1 - p) * (logits + 0.5).square()).mean()


def kto_loss(m: Errors, ref: Errors, p: Errors, beta: float) -> Float[Tensor, ""]:
    """Diffusion-KTO's loss, mean over pictures, each by itself (Li et al., NeurIPS 2024).

    With g = ref - m and z = max(0, mean g), which has no gradient, a desirable picture costs
    1 - sigmoid(β (g - z)) and an undesirable one 1 - sigmoid(β (z - g)) (eq. 8). `p` is the
    probability that a picture is desirable; both count with it.
    """
    gain = ref - m
    logits = beta * (gain - gain.mean().clamp(min=0).detach())
    return (p * (-logits).sigmoid() + (1 - p) * logits.sigmoid()).mean()


def implicit_accuracy(logits: Errors) -> Float[Tensor, ""]:
    """Share of pairs that the model came to prefer rightly; one with log-odds of 0 is half."""
    return (logits.detach().sign() + 1).mean() / 2


def nft_loss(x0_model: Tensor, x0_old: Tensor, x0: Tensor, r: Errors, beta: float) -> Errors:
    """DiffusionNFT's loss of each sample x_0 of the old model (Zheng et al., 2025).

    The output v of a model gives x_0 by a linear equation, so what the paper says of outputs is
    said of these: x_0⁺ = β x_0^θ + (1 - β) x_0^old and x_0⁻ = (1 + β) x_0^old - β x_0^θ. Then

        loss = (r |x_0⁺ - x_0|² / d⁺ + (1 - r) |x_0⁻ - x_0|² / d⁻) / β

    where |·|² is a mean over values, and d the mean of |x_0^± - x_0|, without gradient, which
    replaces a weight of the time. The published code multiplies this by 5.

    Args:
        x0_model: prediction at an x_t of each sample.
        x0_old: the old model's there, without gradient.
        x0: what was sampled.
        r: how good it is, in [0, 1]; at 1/2 nothing is learned.
        beta: how much of the step to the better model is taken at once.
    """
    model, old, clean = x0_model.float(), x0_old.float(), x0.float()
    positive = _normalised(beta * model + (1 - beta) * old - clean)
    negative = _normalised((1 + beta) * old - beta * model - clean)
    return (r * positive + (1 - r) * negative) / beta


def optimality(
    scores: Float[Tensor, "g n"], spread: str, clip: float = 5.0
) -> Float[Tensor, "g n"]:
    """How good each of n samples of g prompts is, in [0, 1]: r of `nft_loss`.

    r = 1/2 + clip(A, -c, c) / 2c with A = (score - mean of its prompt) / std, where the std is that
    of the prompt's scores ("group") or of all ("global"). NaN where there is no score, or where all
    scores of a prompt are the same: nothing can be learned of these.
    """
    known = scores.isfinite()
    values = scores.double().where(known, torch.nan)
    mean = values.nanmean(1, keepdim=True)
    group_std = (values - mean).square().nanmean(1, keepdim=True).sqrt()
    std = group_std if spread == "group" else values[known].std(correction=0)
    advantage = ((values - mean) / std).clamp(-clip, clip)
    differ = group_std > _LEAST_SPREAD * mean.abs()
    return (0.5 + advantage / (2 * clip)).where(differ, torch.nan).to(scores.dtype)


def _normalised(difference: Tensor) -> Errors:
    distance = difference.detach().abs().flatten(1).mean(1).clamp(min=_LEAST_DISTANCE)
    return difference.square().flatten(1).mean(1) / distance
