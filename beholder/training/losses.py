"""Losses: pure functions of scores and preferences, each with its equation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from beholder.errors import DataError
from beholder.types import Edges, Scores


def preference_kl(
    margin: Float[Tensor, " e"],
    p_first: Float[Tensor, " e"],
    weight: Float[Tensor, " e"] | None = None,
) -> Float[Tensor, ""]:
    """KL divergence of the model from the annotators, weighted mean over pairs, in nats.

    The label of a pair is (p, 1 - p), the model says (q, 1 - q) = softmax(s_first, s_second), so
    with the margin m = s_first - s_second

        q = sigmoid(m),  KL = p ln(p / q) + (1 - p) ln((1 - p) / (1 - q)),  loss = Σ w KL / Σ w.

    It is 0 at best, also for ties (p = 0.5), whose best margin is 0. This is the criterion of
    PickScore (Kirstain et al., 2023), which MPS (Zhang et al., 2024) takes over.

    Raises DataError if there is no pair.
    """
    if len(margin) == 0:
        raise DataError("there is no pair to compare, so the loss is not defined")
    cross_entropy = functional.binary_cross_entropy_with_logits(
        margin.float(), p_first, reduction="none"
    )
    divergence = cross_entropy - binary_entropy(p_first)
    if weight is None:
        return divergence.mean()
    return (weight * divergence).sum() / weight.sum()


def contrastive_kl(
    texts: Float[Tensor, "b d"],
    images: Float[Tensor, "n d"],
    edges: Edges,
    logit_scale: Float[Tensor, ""],
    weight: Float[Tensor, " e"] | None = None,
) -> Float[Tensor, ""]:
    """PickScore's criterion with the batch's other pictures and texts as negatives, in nats.

    Pair e of pictures (i, j) has text e; all have length 1, and s_ea = exp(logit_scale) <text_e,
    image_a> over all pictures a. With the label (p, 1 - p) of the pair,

        rows_e    = -p ln softmax_a(s_ea)_i - (1 - p) ln softmax_a(s_ea)_j - H(p)
        columns_e = -p ln softmax_e(s_ei)_e - (1 - p) ln softmax_e(s_ej)_e
        loss      = Σ w (rows + columns) / 2 / Σ w,

    0 at best, also for ties (Kirstain et al., 2023: an option of its published criterion). Unlike
    `preference_kl` it keeps the towers an image-text model.

    Raises DataError if there is no pair, or not one text a pair.
    """
    if len(edges) == 0:
        raise DataError("there is no pair to compare, so the loss is not defined")
    if len(texts) != len(edges):
        raise DataError(f"{len(edges)} pairs need a text each, got {len(texts)} texts")
    logits = (logit_scale.exp() * texts @ images.T).float()
    by_picture, by_text = logits.log_softmax(dim=1), logits.log_softmax(dim=0)
    rows = torch.arange(len(edges), device=logits.device)
    first, second = (
        -(by_picture[rows, column] + by_text[rows, column]) / 2 for column in edges.pairs.T
    )
    p = edges.p_first
    divergence = p * first + (1 - p) * second - binary_entropy(p) / 2
    if weight is None:
        return divergence.mean()
    return (weight * divergence).sum() / weight.sum()


def binary_entropy(p: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """H(p) = -p ln p - (1 - p) ln(1 - p), in nats; 0 for a certain answer."""
    return -torch.xlogy(p, p) - torch.xlogy(1 - p, 1 - p)


def aspect_kl(
    scores: Scores, edges: Mapping[str, Edges], weights: Mapping[str, float]
) -> Float[Tensor, ""]:
    """`preference_kl` over the answers of all aspects; an answer of aspect a weighs w_a.

        loss = Σ_a w_a Σ_e KL_ae / Σ_a w_a n_a,  n_a the number of pairs answered for a.

    Raises DataError if no pair was answered, or the scores lack an aspect.
    """
    margins = [edges[a].margin(aspect_score(scores, a)).float() for a in edges]
    labels = [edges[a].p_first for a in edges]
    shares = [torch.full_like(p, weights[a]) for a, p in zip(edges, labels, strict=True)]
    if not margins:
        raise DataError("there is no pair to compare, so the loss is not defined")
    return preference_kl(torch.cat(margins), torch.cat(labels), torch.cat(shares))


def aspect_score(scores: Scores, aspect: str) -> Float[Tensor, " b"]:
    """The scores of one aspect; "overall" is the total of a reward without aspects.

    Raises DataError if there is no such aspect.
    """
    if aspect in scores.aspects:
        return scores.aspects[aspect]
    if aspect == "overall":
        return scores.total
    known = ", ".join(scores.aspects) or "overall"
    raise DataError(f"the reward gives no score of {aspect!r}; it gives {known}")
