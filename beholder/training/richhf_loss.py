"""Losses of rich feedback: pure functions of logits and targets, each with its equation.

z is a logit, q = sigmoid(z) what the model says, t the target in [0, 1]. What a record does not
tell is left out of the mean; a batch in which nothing is told has loss 0. The published loss
(Liang et al., CVPR 2024, section 4) is the mean squared error of maps and scores and the teacher
forced cross entropy of the words, summed with a weight each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from beholder.training.fit.learner import require
from beholder.training.losses import binary_entropy

Pixelwise = Literal["mse", "kl"]
"""How a map's pixels are compared: (q - t)^2 as published, or KL(t || q)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RichHFLoss:
    """What the loss weighs; a part of weight 0 is not computed.

    Attributes:
        score: of the scores' squared error.
        map: of the maps' pixels.
        correlation: of 1 - CC of the maps that show a fault; published is 0.
        sequence: of the decoder's words, teacher forced.
        word: of the light word head, if the model has one.
        pixels: how a map's pixels are compared.
        marked_pixels: how often a pixel counts that somebody marked; most maps are empty, and a
            model that draws nothing is nearly right everywhere. Published is 1.
        misaligned_words: how often a misaligned word counts for the light head; most are aligned.
        ignore_pads: whether padding after the decoder's sentence is left out; published is false.
    """

    score: float = 1.0
    map: float = 1.0
    correlation: float = 0.0
    sequence: float = 1.0
    word: float = 1.0
    pixels: Pixelwise = "mse"
    marked_pixels: float = 1.0
    misaligned_words: float = 1.0
    ignore_pads: bool = True

    def __post_init__(self) -> None:
        for name in ("score", "map", "correlation", "sequence", "word"):
            require(name, getattr(self, name), least=0)
        for name in ("marked_pixels", "misaligned_words"):
            require(name, getattr(self, name), above=0)


def weighted_sum(parts: Mapping[str, Float[Tensor, ""]], weights: RichHFLoss) -> Float[Tensor, ""]:
    """Σ_k w_k loss_k over the parts that were computed."""
    return torch.stack([getattr(weights, name) * part for name, part in parts.items()]).sum()


def score_loss(
    logits: Float[Tensor, "b a"], targets: Float[Tensor, "b a"], told: Bool[Tensor, "b a"]
) -> Float[Tensor, ""]:
    """Mean of (q - t)^2 over the aspects that were rated."""
    return told_mean((logits.float().sigmoid() - targets).square(), told)


def map_loss(
    logits: Float[Tensor, "b k m m"],
    targets: Float[Tensor, "b k m m"],
    told: Bool[Tensor, "b k"],
    pixels: Pixelwise = "mse",
    marked: float = 1.0,
) -> Float[Tensor, ""]:
    """Mean over the pixels of all told maps of w d(q, t), where w is `marked` if t > 0, else 1.

    d is (q - t)^2 or, with "kl", KL(t || q) = t ln(t / q) + (1 - t) ln((1 - t) / (1 - q)): 0 at
    best, and its gradient q - t does not vanish where a wrong model is sure.
    """
    distance = {"mse": _squared, "kl": _divergence}[pixels](logits.float(), targets)
    weights = torch.where(targets > 0, marked, 1.0)
    return told_mean((weights * distance).mean((-2, -1)), told)


def correlation_loss(
    logits: Float[Tensor, "b k m m"], targets: Float[Tensor, "b k m m"], told: Bool[Tensor, "b k"]
) -> Float[Tensor, ""]:
    """Mean of 1 - CC(q, t) over the told maps that are not empty."""
    return told_mean(1 - correlation(logits.float().sigmoid(), targets), told & shows(targets))


def correlation(
    drawn: Float[Tensor, "*b m n"], targets: Float[Tensor, "*b m n"]
) -> Float[Tensor, "*b"]:
    """Pearson's coefficient over the pixels of each pair of maps; 0 where one is constant."""
    q, t = (maps.flatten(-2) - maps.flatten(-2).mean(-1, keepdim=True) for maps in (drawn, targets))
    return functional.cosine_similarity(q, t, dim=-1, eps=1e-8)


def shows(maps: Float[Tensor, "*b m n"]) -> Bool[Tensor, "*b"]:
    """Which maps are not empty."""
    return (maps > 0).flatten(-2).any(-1)


def word_loss(
    logits: Sequence[Float[Tensor, " _"]],
    shares: Sequence[Float[Tensor, " _"]],
    misaligned: float = 1.0,
) -> Float[Tensor, ""]:
    """Mean over all words of -m p ln q - (1 - p) ln(1 - q).

    p is the share of annotators who say that the picture misses the word, m is `misaligned`.
    """
    z, p = torch.cat(list(logits)).float(), torch.cat(list(shares))
    if len(z) == 0:
        return z.sum()
    return functional.binary_cross_entropy_with_logits(z, p, pos_weight=z.new_tensor(misaligned))


def told_mean(values: Float[Tensor, "*shape"], told: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Mean of the values that were told; 0, with gradient 0, if none was."""
    return torch.where(told, values, 0).sum() / told.sum().clamp(min=1)


def _squared(logits: Tensor, targets: Tensor) -> Tensor:
    return (logits.sigmoid() - targets).square()


def _divergence(logits: Tensor, targets: Tensor) -> Tensor:
    crossed = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return crossed - binary_entropy(targets)
