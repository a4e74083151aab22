"""ReFL: the reward of a picture that a late step already shows teaches this step.

Xu et al. (2023, arXiv 2304.05977), algorithm 1. Sampling runs without gradients up to a step drawn
at random; this one step has gradients, and the clean picture that it stands for is decoded and
scored. The gradient that reaches the step's output is proportional to its noise level |∂x_0/∂out|,
so the steps to draw from are those with a level in a window. Their 30th to 38th of 40 DDIM steps
are the levels 0.64 to 0.16; on other schedules the same indices lie elsewhere, and the last step
of many has a level near 0.

The published code leaves out guidance and the pre-training loss of the paper. Here pictures are
sampled as `sampling` says, and the denoising loss is added before one optimizer step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from beholder.training.algorithms._base import PromptBatch, Studio, TuneConfig
from beholder.training.algorithms._reward_gradient import RewardGradient
from beholder.training.fit.learner import require
from beholder.training.fit.loop import Logs
from beholder.training.tuning_losses import refl_loss, saturated


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflConfig(TuneConfig):
    """What ReFL is asked.

    Attributes:
        low, high: noise levels of the steps that learn.
        margin: a picture pulls until it scores the mean of the pipeline's own pictures and so many
            of their standard deviations; what scores more has no gradient.
        reward_weight: of the reward beside `kl` and the pre-training loss.
    """

    algorithm: str = "refl"
    low: float = 0.15
    high: float = 0.65
    margin: float = 2.0
    reward_weight: float = 1.0

    def __post_init__(self) -> None:
        TuneConfig.__post_init__(self)
        require("low", self.low, least=0)
        require("high", self.high, least=self.low)
        require("margin", self.margin)
        require("reward_weight", self.reward_weight, above=0)

    @override
    def window(self) -> tuple[float, float]:
        return self.low, self.high


class Refl(RewardGradient[ReflConfig]):
    """ReFL; ConfigError if no step has a noise level in the window."""

    title: ClassVar[str] = "ReFL"
    paper: ClassVar[str] = (
        "J. Xu et al., ImageReward: Learning and Evaluating Human Preferences for Text-to-Image "
        "Generation, NeurIPS 2023."
    )

    def __init__(self, studio: Studio, config: ReflConfig) -> None:
        super().__init__(studio, config)
        self._window = studio.driver.window(studio.start.levels, config.low, config.high)
        self._target = studio.start.mean + config.margin * studio.start.std

    @override
    def pictures(
        self, batch: PromptBatch, generator: torch.Generator
    ) -> tuple[Float[Tensor, "n 3 h w"], Logs]:
        place = torch.randint(len(self._window), (), generator=generator, device=generator.device)
        index = self._window[int(place)]
        sampled = self.studio.driver.sample(
            batch.prompts, self.config.sampling, seeds=batch.seeds, grad_from=index, stop_at=index
        )
        return sampled.pixels, {"refl/level": self.studio.start.levels[index]}

    @override
    def objective(self, scores: Float[Tensor, " n"]) -> tuple[Float[Tensor, ""], Logs]:
        loss = refl_loss(scores, self._target, self.studio.start.std)
        logs = {"refl/loss": loss.detach(), "refl/saturated": saturated(scores, self._target)}
        return self.config.reward_weight * loss, logs
