"""The mask rule of MPS: which words of a prompt a condition lets through, and how strongly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from beholder.errors import ConfigError
from beholder.types import WordRelevance

Scope = Literal["sample", "batch"]
Mask = Literal["hard", "soft"]
Padding = Literal["keep", "drop"]

SOFT_FLOOR = 1e-4
"""A smaller share of the maximum counts as this one in the soft mask."""


def relevance(
    text: Float[Tensor, "b l d"],
    condition: Float[Tensor, "k c m d"],
    text_present: Bool[Tensor, "b l"],
    condition_present: Bool[Tensor, "k c m"],
) -> Float[Tensor, "k b l"]:
    """max_j <text_i, condition_j>: how much each word has to do with each condition.

    `c` is 1 (conditions for all rows) or `b` (one each). Absent words are -inf.
    """
    products = text @ condition.mT
    products = products.masked_fill(~condition_present[:, :, None], -torch.inf)
    return products.amax(dim=-1).masked_fill(~text_present, -torch.inf)


def relevance_share(values: Float[Tensor, "k b l"], scope: Scope) -> Float[Tensor, "k b l"]:
    """Relevance divided by its maximum over each row or, with scope "batch", over all rows.

    Where the maximum is not positive the share of every word is 1: nothing is hidden, which is what
    the published division of negatives by a negative maximum comes to. Absent words stay -inf.
    """
    top = values.amax(dim=-1 if scope == "sample" else (-2, -1), keepdim=True)
    positive = top > 0
    absent = values == -torch.inf
    finite = values.masked_fill(absent, 0)  # the gradient of -inf / top is not a number
    share = torch.where(positive, finite / top.where(positive, 1), 1)
    return share.masked_fill(absent, -torch.inf)


def hard_bias(share: Float[Tensor, "k b l"], threshold: float) -> Float[Tensor, "k b l"]:
    """0 where the share exceeds the threshold, -inf elsewhere."""
    return torch.zeros_like(share).masked_fill(share <= threshold, -torch.inf)


def soft_bias(share: Float[Tensor, "k b l"], power: Float[Tensor, ""]) -> Float[Tensor, "k b l"]:
    """Power * log(share): a word's attention weight is multiplied by share**power.

    Shares below `SOFT_FLOOR` count as the floor; absent words stay -inf.
    """
    bias = power * share.clamp(min=SOFT_FLOOR).log()
    return bias.masked_fill(share == -torch.inf, -torch.inf)


def present(tokens: Float[Tensor, "b n d"]) -> Bool[Tensor, "b n"]:
    """False where a token is padding that nothing may look at: a row of zeros."""
    return (tokens != 0).any(dim=-1)


def word_relevance(
    prompt: str,
    spans: Sequence[tuple[int, int] | None],
    share: Sequence[float],
    threshold: float | None,
) -> list[WordRelevance]:
    """The words of a prompt, with the share of the most relevant token of each.

    `spans` says where each token comes from. A word that no token covers was cut off: its share is
    0 and it is not kept. A threshold of None, that of the soft mask, keeps every other word.
    """
    words = []
    for word in re.finditer(r"\S+", prompt):
        start, end = word.span()
        covering = [
            value
            for value, span in zip(share, spans, strict=True)
            if span is not None and span[0] < end and span[1] > start
        ]
        top = max(covering, default=0.0)
        kept = bool(covering) and (threshold is None or top > threshold)
        words.append(WordRelevance(word.group(), start, end, top, kept))
    return words


def check_rule(threshold: float, *, scope: str, mask: str, paddings: tuple[str, str]) -> None:
    """Raise ConfigError unless these name a mask rule."""
    if not 0 <= threshold < 1:
        raise ConfigError(f"threshold is a share of the maximum in [0, 1), got {threshold}")
    if scope not in get_args(Scope):
        raise ConfigError(f"scope is 'sample' or 'batch', got {scope!r}")
    if mask not in get_args(Mask):
        raise ConfigError(f"mask is 'hard' or 'soft', got {mask!r}")
    for padding in paddings:
        if padding not in get_args(Padding):
            raise ConfigError(f"padding is 'keep' or 'drop', got {padding!r}")
