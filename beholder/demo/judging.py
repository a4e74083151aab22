"""What rewards say of one picture, and which of two they prefer; nothing here knows a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from beholder._page.feedback import PictureFeedback
from beholder.errors import BeholderError
from beholder.images import ImageSource
from beholder.rewards import Reward, RewardCard
from beholder.types import Scores

Side = Literal["left", "right", "neither"]

NO_PICTURE = "no picture: drop one, or choose an example"
NO_PROMPT = "no prompt: this reward reads it, so write what the picture should show"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one reward says of one picture.

    Attributes:
        reward: its name on the command line.
        card: what its numbers mean.
        why: why there is no score; "" if there is one.
        total: NaN without a score.
        aspects: name -> score.
        wins: how likely people prefer the picture to one of the reference set of the reward's
            calibration, in [0, 1]; None where there is none.
        seen: maps and words over the picture; None for a reward that draws and reads none.
    """

    reward: str
    card: RewardCard
    why: str = ""
    total: float = math.nan
    aspects: Mapping[str, float] = field(default_factory=dict)
    wins: float | None = None
    seen: PictureFeedback | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which of two pictures one reward prefers.

    Attributes:
        left, right: what it says of each.
        preferred: "neither" if a score is missing, they are equal, or the calibration calls it a
            tie.
        likely: how likely people prefer the left one, in [0, 1]; None without a calibration or a
            score.
        judged: how many judged pairs the calibration learned from; 0 without one.
    """

    left: Judgement
    right: Judgement
    preferred: Side
    likely: float | None = None
    judged: int = 0

    @property
    def why(self) -> str:
        """Why there is none; "" if there is one."""
        sides = {"left": self.left.why, "right": self.right.why}
        said = {name: why for name, why in sides.items() if why}
        if len(set(said.values())) == 1 and len(said) == len(sides):
            return self.left.why
        return "; ".join(f"{name}: {why}" for name, why in said.items())


class Judges:
    """Rewards that are asked about single pictures.

    Args:
        rewards: by the names that people read.
    """

    def __init__(self, rewards: Mapping[str, Reward]) -> None:
        self.rewards = dict(rewards)

    def picture(self, image: ImageSource | None, prompt: str) -> list[Judgement]:
        """What each reward says; a picture or prompt that it cannot take is a reason."""
        return [_judged(name, reward, image, prompt) for name, reward in self.rewards.items()]

    def pair(
        self, left: ImageSource | None, right: ImageSource | None, prompt: str
    ) -> list[Verdict]:
        """Which of two pictures of one prompt each reward prefers."""
        sides = zip(self.picture(left, prompt), self.picture(right, prompt), strict=True)
        return [_verdict(self.rewards[first.reward], first, second) for first, second in sides]


def _judged(name: str, reward: Reward, image: ImageSource | None, prompt: str) -> Judgement:
    why = _missing(reward.card, image, prompt)
    if why or image is None:
        return Judgement(reward=name, card=reward.card, why=why)
    try:
        scores = reward.score([image], [prompt])
    except BeholderError as error:  # a server that does not answer
        return Judgement(reward=name, card=reward.card, why=str(error))
    if scores.errors:
        return Judgement(reward=name, card=reward.card, why=scores.errors[0])
    return Judgement(
        reward=name,
        card=reward.card,
        total=scores.total.item(),
        aspects={aspect: values.item() for aspect, values in scores.aspects.items()},
        wins=_wins(reward, scores),
        seen=PictureFeedback.of(image, prompt, scores) if scores.maps or scores.words else None,
    )


def _missing(card: RewardCard, image: ImageSource | None, prompt: str) -> str:
    if image is None:
        return NO_PICTURE
    return NO_PROMPT if card.needs_prompt and not prompt.strip() else ""


def _wins(reward: Reward, scores: Scores) -> float | None:
    found = None if reward.calibration is None else reward.calibration.scores["total"]
    if found is None or not found.reference:
        return None
    return float(found.win_probability(scores.total.double().numpy())[0])


def _verdict(reward: Reward, left: Judgement, right: Judgement) -> Verdict:
    margin = left.total - right.total
    if math.isnan(margin):
        return Verdict(left=left, right=right, preferred="neither")
    if reward.calibration is None:
        return Verdict(left=left, right=right, preferred=_side(margin))
    found = reward.calibration.scores["total"]
    margins = np.array([margin])
    return Verdict(
        left=left,
        right=right,
        preferred="neither" if found.curve.is_tie(margins)[0] else _side(margin),
        likely=float(found.curve.probability(margins)[0]),
        judged=found.pairs,
    )


def _side(margin: float) -> Side:
    return "neither" if margin == 0 else "left" if margin > 0 else "right"


def refused(said: Sequence[Judgement | Verdict]) -> str:
    """The reason that all of them give, such as a picture that cannot be read; "" if none is."""
    reasons = {each.why for each in said}
    return reasons.pop() if len(reasons) == 1 else ""
