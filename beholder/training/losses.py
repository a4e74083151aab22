"""Losses: pure functions of scores and judgements, each with its equation, in nats where a KL."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from beholder.errors import DataError
from beholder.types import Edges, Rankings, Scores, Targets

MOST_TIED = 12
"""Pictures that may share a rank in `plackett_luce`: it sums over all subsets of them."""

_STEP, _REACH = 0.125, 7.0  # of the quadrature, in standard deviations


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
    _refuse_nothing(len(margin), "pair to compare")
    cross_entropy = functional.binary_cross_entropy_with_logits(
        margin.float(), p_first, reduction="none"
    )
    return _mean(cross_entropy - binary_entropy(p_first), weight)


def rao_kupper(
    margin: Float[Tensor, " e"],
    p_first: Float[Tensor, " e"],
    strength: float,
    weight: Float[Tensor, " e"] | None = None,
) -> Float[Tensor, ""]:
    """Negative log-likelihood of wins and ties, weighted mean over pairs, in nats.

    The model of Rao & Kupper (1967, eq. 2.1) gives a tie a probability of its own, which `strength`
    k > 1 raises. With margin m = s_first - s_second and c = ln k,

        P(first) = sigmoid(m - c),  P(second) = sigmoid(-m - c),
        P(tie)   = (k² - 1) P(first) P(second),

    which add up to 1. The label 0.5 is a tie; any other p is a split of votes, p of which say
    first: loss = -p ln P(first) - (1 - p) ln P(second). A margin is worth nothing below c, unlike
    under `preference_kl`. VideoAlign (Liu et al., 2025) trains with k = 5.

    Raises DataError if there is no pair.
    """
    _refuse_nothing(len(margin), "pair to compare")
    m, c = margin.float(), math.log(strength)
    first, second = functional.logsigmoid(m - c), functional.logsigmoid(-m - c)
    tie = first + second + math.log(strength**2 - 1)
    votes = p_first * first + (1 - p_first) * second
    return _mean(-torch.where(p_first == 0.5, tie, votes), weight)


def gaussian_kl(
    margin: Float[Tensor, " e"],
    deviation: Float[Tensor, " e"],
    p_first: Float[Tensor, " e"],
    weight: Float[Tensor, " e"] | None = None,
) -> Float[Tensor, ""]:
    """`preference_kl` of scores that are Gaussians: the margin is uncertain, in nats.

        q = E[sigmoid(d)],  d ~ Normal(m, v),  v = v_first + v_second  (`deviation` is sqrt(v))

    as HPSv3 (Ma et al., 2025) compares two pictures; its code averages ln sigmoid(d) over 1000
    draws instead, which bounds ln q from below and is best without any deviation. The integral is
    a trapezoid sum, whose error falls as exp(-2 π² / (deviation * step)) (Trefethen & Weideman,
    2014): below 1e-6 up to a deviation of 11. Where it is 0 this is `preference_kl`.

    Raises DataError if there is no pair.
    """
    _refuse_nothing(len(margin), "pair to compare")
    nodes = torch.arange(-_REACH, _REACH + _STEP / 2, _STEP, device=margin.device)
    log_share = (-nodes.square() / 2).log_softmax(dim=0)
    d = margin.float()[:, None] + deviation.float()[:, None] * nodes
    first = (functional.logsigmoid(d) + log_share).logsumexp(dim=1)
    second = (functional.logsigmoid(-d) + log_share).logsumexp(dim=1)
    return _mean(-p_first * first - (1 - p_first) * second - binary_entropy(p_first), weight)


def contrastive_kl(
    texts: Float[Tensor, "e d"],
    images: Float[Tensor, "n d"],
    edges: Edges,
    logit_scale: Float[Tensor, ""],
    weight: Float[Tensor, " e"] | None = None,
    prompts: Int[Tensor, " n"] | None = None,
) -> Float[Tensor, ""]:
    """PickScore's criterion with the batch's other pictures and texts as negatives, in nats.

    Pair e of pictures (i, j) has text e; all have length 1, and s_ea = exp(logit_scale) <text_e,
    image_a> over all pictures a. With the label (p, 1 - p) of the pair,

        rows_e    = -p ln softmax_a(s_ea)_i - (1 - p) ln softmax_a(s_ea)_j - H(p)
        columns_e = -p ln softmax_e(s_ei)_e - (1 - p) ln softmax_e(s_ej)_e
        loss      = Σ w (rows + columns) / 2 / Σ w,

    0 at best, also for ties (Kirstain et al., 2023: an option of its published criterion). Unlike
    `preference_kl` it keeps the towers an image-text model. `prompts` numbers each picture's
    prompt: what a pair's own prompt gave elsewhere in the batch is then no negative of it, which
    matters where pairs of one prompt share a batch; None takes all as different, as published.

    Raises DataError if there is no pair, or not one text a pair.
    """
    _refuse_nothing(len(edges), "pair to compare")
    if len(texts) != len(edges):
        raise DataError(f"{len(edges)} pairs need a text each, got {len(texts)} texts")
    logits = (logit_scale.exp() * texts @ images.T).float()
    pictures, others = _own(edges, prompts, len(images))
    by_picture = logits.masked_fill(pictures, -math.inf).log_softmax(dim=1)
    first, second = (
        -(by_picture.gather(1, column[:, None])[:, 0] + _of_texts(logits, column, others)) / 2
        for column in edges.pairs.T
    )
    p = edges.p_first
    return _mean(p * first + (1 - p) * second - binary_entropy(p) / 2, weight)


def plackett_luce(scores: Float[Tensor, " b"], rankings: Rankings) -> Float[Tensor, ""]:
    """KL divergence of a model of orders from rankings with ties, weighted mean, in nats.

    Plackett (1975) and Luce (1959) choose the best picture, then the best of those left, …, each
    with softmax probability over what is left; for a ranking without ties and A_t the pictures
    from place t on,

        loss = -ln P(order) = Σ_t (ln Σ_{a in A_t} exp s_a - s_t).

    A tie of m pictures leaves their order open: the label is spread evenly over all orders that
    the ranking allows, so the loss is the mean of -ln P over these less their entropy Σ ln m!,
    where a mean over the subsets that may be left stands for that over orders. It is 0 at best,
    also for ties, and for two pictures it is `preference_kl` of the labels 0, 0.5 and 1: an order
    cannot say how sure people were. Each ranking counts once, however many pictures it has.

    Raises DataError if there is no ranking, or more than `MOST_TIED` pictures share a rank.
    """
    _refuse_nothing(len(rankings), "ranking to learn from")
    owner, member, share, entropy = _stages(rankings)
    there = rankings.rows >= 0
    s = scores.float()[rankings.rows.clamp(min=0)]
    left = s[owner].masked_fill(~member, -math.inf).logsumexp(dim=1)
    placed = s.masked_fill(~there, 0).sum(dim=1)
    losses = torch.zeros_like(placed).index_add(0, owner, share * left) - placed - entropy
    return _mean(losses, rankings.weight)


def rank_hinge(
    scores: Float[Tensor, " b"], rankings: Rankings, margin: float = 1.0
) -> Float[Tensor, ""]:
    """Hinge on the pairs of rankings that grows with the distance of their ranks, weighted mean.

        loss of a ranking = mean of max(0, margin - (r_j - r_i)(s_i - s_j)) over r_i < r_j,

    so neighbours must differ by `margin`, and pictures d ranks apart by margin / d: a published
    criterion of HPSv2's training code (Wu et al., 2023), without the ties and the pictures against
    themselves which that averages in as constants. A ranking of ties alone has loss 0.

    Raises DataError if there is no ranking.
    """
    _refuse_nothing(len(rankings), "ranking to learn from")
    there = rankings.rows >= 0
    s = scores.float()[rankings.rows.clamp(min=0)]
    apart = rankings.ranks[:, None, :] - rankings.ranks[:, :, None]  # r_j - r_i
    counts = (apart > 0) & there[:, None, :] & there[:, :, None]
    hinge = (margin - apart * (s[:, :, None] - s[:, None, :])).clamp(min=0) * counts
    return _mean(hinge.sum(dim=(1, 2)) / counts.sum(dim=(1, 2)).clamp(min=1), rankings.weight)


def rating_error(scores: Float[Tensor, " b"], targets: Targets) -> Float[Tensor, ""]:
    """Mean squared error of scores from ratings: Σ w (s - v)² / Σ w.

    LAION's aesthetic predictors learn so (Schuhmann et al., 2022). Raises DataError if there is no
    rating.
    """
    _refuse_nothing(len(targets), "rating to learn from")
    return _mean((scores.float()[targets.rows] - targets.values).square(), targets.weight)


def binary_entropy(p: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """H(p) = -p ln p - (1 - p) ln(1 - p), in nats; 0 for a certain answer."""
    return -torch.xlogy(p, p) - torch.xlogy(1 - p, 1 - p)


def over_aspects(
    losses: Mapping[str, Float[Tensor, ""]],
    shares: Mapping[str, Float[Tensor, ""] | float],
    total: float | None = None,
) -> Float[Tensor, ""]:
    """Mean of the aspects' losses, each weighed by its share: Σ_a share_a loss_a / Σ_a share_a.

    `total` is divided by in place of Σ_a share_a. Raises DataError if there is none.
    """
    _refuse_nothing(len(losses), "answer to learn from")
    summed = sum((shares[a] * loss for a, loss in losses.items()), torch.tensor(0.0))
    return summed / (sum(shares[a] for a in losses) if total is None else total)


def aspect_kl(
    scores: Scores, edges: Mapping[str, Edges], weights: Mapping[str, float]
) -> Float[Tensor, ""]:
    """`preference_kl` over the answers of all aspects; an answer e to aspect a weighs w_a u_e.

        loss = Σ_a w_a Σ_e u_e KL_ae / Σ_a w_a Σ_e u_e,  u_e the edge's own weight, 1 without.

    Raises DataError if no pair was answered, or the scores lack an aspect.
    """
    answered = {a: e for a, e in edges.items() if len(e)}
    _refuse_nothing(len(answered), "pair to compare")
    losses = {
        a: preference_kl(e.margin(aspect_score(scores, a)), e.p_first, e.weight)
        for a, e in answered.items()
    }
    return over_aspects(losses, {a: weights[a] * total_weight(e) for a, e in answered.items()})


def total_weight(judged: Edges | Rankings | Targets) -> Float[Tensor, ""] | float:
    """How much all of them count together: the sum of their weights, or how many they are."""
    return float(len(judged)) if judged.weight is None else judged.weight.sum()


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


def _refuse_nothing(count: int, what: str) -> None:
    if count == 0:
        raise DataError(f"there is no {what}, so the loss is not defined")


def _mean(values: Float[Tensor, " n"], weight: Float[Tensor, " n"] | None) -> Float[Tensor, ""]:
    return values.mean() if weight is None else (weight * values).sum() / weight.sum()


def _own(
    edges: Edges, prompts: Int[Tensor, " n"] | None, pictures: int
) -> tuple[Bool[Tensor, "e n"], Bool[Tensor, "e e"]]:
    """For each pair, other pictures of its prompt, and other pairs of its prompt."""
    device, count = edges.pairs.device, len(edges)
    if prompts is None:
        none = torch.zeros(count, pictures, dtype=torch.bool, device=device)
        return none, none.new_zeros(count, count)
    asked = prompts[edges.pairs[:, 0]]
    same = (asked[:, None] == prompts).scatter(1, edges.pairs, value=False)
    twins = asked[:, None] == asked
    return same, twins & ~torch.eye(count, dtype=torch.bool, device=device)


def _of_texts(
    logits: Float[Tensor, "e n"], pictures: Int[Tensor, " e"], others: Bool[Tensor, "e e"]
) -> Float[Tensor, " e"]:
    """Log share that text e has in picture e, among its own and those of other prompts."""
    seen = logits[:, pictures].T.masked_fill(others, -math.inf)  # (picture of pair e, text)
    return seen.log_softmax(dim=1).diagonal()


def _stages(
    rankings: Rankings,
) -> tuple[Int[Tensor, " n"], Bool[Tensor, "n k"], Float[Tensor, " n"], Float[Tensor, " g"]]:
    """The sets of pictures that may be left: whose, which, how probable; the orders' entropy."""
    device = rankings.ranks.device
    found = [_left(tuple(ranks)) for ranks in rankings.ranks.tolist()]
    owner = np.repeat(np.arange(len(found)), [len(sets) for sets, _, _ in found])
    member = np.concatenate([sets for sets, _, _ in found])
    shares = np.concatenate([some for _, some, _ in found])
    return (
        torch.from_numpy(owner).to(device),
        torch.from_numpy(member).to(device),
        torch.from_numpy(shares).to(device),
        torch.tensor([entropy for _, _, entropy in found], device=device),
    )


@lru_cache(maxsize=4096)
def _left(
    ranks: tuple[int, ...],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32], float]:
    """The sets that may be left at some place of a ranking, how probable each is, ln(orders)."""
    sets: list[list[bool]] = []
    shares: list[float] = []
    entropy = 0.0
    for rank in sorted(set(ranks) - {0}):
        tied = [k for k, other in enumerate(ranks) if other == rank]
        worse = [k for k, other in enumerate(ranks) if other > rank]
        if len(tied) > MOST_TIED:
            raise DataError(
                f"{len(tied)} pictures of a ranking share rank {rank}, plackett_luce takes at most "
                f"{MOST_TIED}; learn its pairs with the loss kl instead"
            )
        entropy += math.lgamma(len(tied) + 1)
        for some in _subsets(tied):
            sets.append([k in {*some, *worse} for k in range(len(ranks))])
            shares.append(1 / math.comb(len(tied), len(some)))
    return np.array(sets), np.array(shares, np.float32), entropy


def _subsets(rows: Sequence[int]) -> list[tuple[int, ...]]:
    return [some for size in range(1, len(rows) + 1) for some in combinations(rows, size)]
