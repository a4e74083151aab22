"""What a user must know before trusting a number."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from beholder.rewards._card_sheet import card_sheet


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A published accuracy on people's pairs.

    Attributes:
        data: the data set, such as "HPDv2 test".
        percent: pairs in which the reward agrees with people.
        protocol: what counts, such as "ties dropped"; figures of two protocols do not compare.
        source: the paper or page that gives the figure.
    """

    data: str
    percent: float
    protocol: str
    source: str


@dataclass(frozen=True, slots=True)
class Parity:
    """How near the scores come to another implementation on the same weights and pictures.

    Attributes:
        against: package and version, or what was written again from the paper.
        error: the largest difference of two scores.
        spread: the standard deviation of the scores that were compared, to judge `error` by.
        how: weights and pictures.
    """

    against: str
    error: float
    spread: float
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardCard:
    """What a user must know before trusting a number from this reward.

    Attributes:
        name: what `load` accepts.
        paper: the paper that defines the reward, with its year.
        measures: what a high score means, in a phrase.
        code_license, weights_license: SPDX names; "none" for a reward without weights.
        weights: where the published weights live, "" if there are none.
        score_range: lowest and highest possible total.
        aspects: names in `Scores.aspects`, in order.
        needs_prompt: whether a prompt changes the score.
        differentiable: whether the gradient of the total reaches the pixels.
        accuracy: as published.
        parity: measured against other implementations.
        float_error: largest difference between the scores of 8-bit pictures and of the same as
            float pixels, as a share of the scores' standard deviation; None if not measured. This
            and the next two were measured on small random models, and a test holds them.
        bf16_error, fp16_error: the same between float32 and weights of that type.
        notes: protocol facts that move the number.
    """

    name: str
    paper: str
    measures: str = ""
    code_license: str = "Apache-2.0"
    weights_license: str = "none"
    weights: str = ""
    score_range: tuple[float, float] = (-math.inf, math.inf)
    aspects: tuple[str, ...] = ()
    needs_prompt: bool = True
    differentiable: bool = True
    accuracy: tuple[Accuracy, ...] = ()
    parity: tuple[Parity, ...] = ()
    float_error: float | None = None
    bf16_error: float | None = None
    fp16_error: float | None = None
    notes: tuple[str, ...] = field(default=())

    def _repr_html_(self) -> str:
        return card_sheet(self).html()


def range_text(card: RewardCard) -> str:
    """The range of a reward's total in words, such as "0 to 1"."""
    low, high = card.score_range
    if math.isinf(low) and math.isinf(high):
        return "any number"
    if math.isinf(high):
        return f"from {low:g}"
    return f"up to {high:g}" if math.isinf(low) else f"{low:g} to {high:g}"
