"""DRaFT: the reward's gradient runs back through the last steps of sampling.

Clark et al. (2024, arXiv 2309.17400): DRaFT-K has gradients in the last K steps. DRaFT-LV lowers
the variance of K = 1: noise is added to the picture again several times, each noisy picture is
denoised in one step, and the gradients of all are averaged.

The gradient that reaches a last step's output is its noise level |∂x_0/∂out|, which on many
schedules is nearly 0 at the end (0.009 for 28 steps of Stable Diffusion 3). So the K steps end with
the last one whose level is `min_level` or more, and the clean picture that it stands for is decoded
there; 0 is the paper's, whose pictures are sampled to the end.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from beholder.errors import ConfigError
from beholder.training.algorithms._base import PromptBatch, Studio, TuneConfig
from beholder.training.algorithms._reward_gradient import RewardGradient
from beholder.training.fit.learner import require
from beholder.training.fit.loop import Logs
from beholder.training.pipeline import Step
from beholder.training.tuning_losses import draft_loss

_LOG = logging.getLogger(__name__)
_VANISHING = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftConfig(TuneConfig):
    """What DRaFT is asked.

    Attributes:
        k: steps with gradients.
        min_level: noise level of the last of them at least.
        lv: how often noise is added again; 0 is DRaFT-K. Each needs as much memory as the picture
            itself, and denoises without guidance.
    """

    algorithm: str = "draft"
    k: int = 1
    min_level: float = 0.15
    lv: int = 0

    def __post_init__(self) -> None:
        TuneConfig.__post_init__(self)
        require("k", self.k, above=0)
        require("min_level", self.min_level, least=0)
        require("lv", self.lv, least=0)


class Draft(RewardGradient[DraftConfig]):
    """DRaFT; ConfigError if there are fewer than k steps above `min_level`."""

    title: ClassVar[str] = "DRaFT"
    paper: ClassVar[str] = (
        "K. Clark et al., Directly Fine-Tuning Diffusion Models on Differentiable Rewards, "
        "ICLR 2024."
    )

    def __init__(self, studio: Studio, config: DraftConfig) -> None:
        super().__init__(studio, config)
        levels = studio.start.levels
        self._first, self._last = gradient_steps(levels, config.k, config.min_level)
        self._is_whole = self._last == len(levels) - 1
        highest = max(levels[self._first : self._last + 1])
        if highest < _VANISHING:
            _LOG.warning(
                "the noise level of the steps with gradients is at most %.3g, so they learn next "
                "to nothing; raise min_level to 0.15, or k",
                highest,
            )

    @override
    def pictures(
        self, batch: PromptBatch, generator: torch.Generator
    ) -> tuple[Float[Tensor, "n 3 h w"], Logs]:
        times: list[Tensor] = []

        def note(step: Step) -> None:
            if step.index == self._last:
                times.append(step.t)

        sampled = self.studio.driver.sample(
            batch.prompts,
            self.config.sampling,
            seeds=batch.seeds,
            grad_from=self._first,
            stop_at=None if self._is_whole else self._last,
            on_step=note,
        )
        latents = sampled.latents.detach()
        t = times[0].expand(len(latents))
        again = [self._again(latents, t, batch, generator) for _ in range(self.config.lv)]
        return torch.cat([sampled.pixels, *again]), {}

    @override
    def objective(self, scores: Float[Tensor, " n"]) -> tuple[Float[Tensor, ""], Logs]:
        start = self.studio.start
        loss = draft_loss(scores, start.mean, start.std)
        return loss, {"draft/gain": -loss.detach()}

    def _again(
        self, x0: Tensor, t: Tensor, batch: PromptBatch, generator: torch.Generator
    ) -> Float[Tensor, "b 3 h w"]:
        """Pictures with noise added and taken away again."""
        driver, sampling = self.studio.driver, self.config.sampling
        noise = torch.randn(x0.shape, generator=generator, device=generator.device)
        x_t = driver.noise.mix(x0, noise.to(x0.dtype), t)
        output = driver.predict(x_t, t, batch.prompts, sampling)
        return driver.decode(driver.noise.x0(output, x_t, t).to(x0.dtype), sampling)


def gradient_steps(levels: tuple[float, ...], k: int, min_level: float) -> tuple[int, int]:
    """First and last of the k steps that end with the last one of at least this noise level.

    Raises ConfigError if there are not so many.
    """
    above = [index for index, level in enumerate(levels) if level >= min_level]
    if not above or above[-1] + 1 < k:
        told = ", ".join(f"{level:.3g}" for level in levels)
        raise ConfigError(
            f"no {k} steps end with a noise level of {min_level:g} or more; the {len(levels)} "
            f"steps have {told}: lower k or min_level, or raise sampling.steps"
        )
    return above[-1] - k + 1, above[-1]
