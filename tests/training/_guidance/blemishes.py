"""A reward that draws maps: what is blue is a fault, and the score is the share that is not."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from typing_extensions import override

from beholder.rewards import Reward, RewardCard
from beholder.types import Scores


class Blemishes(Reward):
    """Marks pixels with more than `above` blue and less than half red; NaN for a black picture."""

    card: ClassVar[RewardCard] = RewardCard(
        name="blemishes",
        paper="none: for tests",
        score_range=(0.0, 1.0),
        aspects=("plausibility",),
        needs_prompt=False,
        differentiable=False,
    )

    def __init__(self, above: float = 0.9, *, likes_them: bool = False) -> None:
        super().__init__()
        self.above, self.likes_them = above, likes_them

    @override
    def preprocess(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        return pixels.float() / (1 if pixels.is_floating_point() else 255)

    @override
    def score_prepared(
        self, pixel_values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]
    ) -> Scores:
        red, _, blue = pixel_values.unbind(1)
        faults = ((blue > self.above) & (red < 0.5)).float()
        share = faults.mean((1, 2))
        good = share if self.likes_them else 1 - share
        good = torch.where(pixel_values.sum((1, 2, 3)) > 0, good, torch.nan)
        return Scores(good, {"plausibility": good}, {"implausibility": faults})

    @override
    def options(self) -> dict[str, object]:
        return {}

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> "Blemishes":
        return cls()
