"""Sampling that is pulled towards a higher score at every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.training._guidance.beginning import begun
from beholder.training._guidance.candidates import scored
from beholder.training._guidance.gradients import (
    per_picture_norm,
    require_gradient,
    score_gradient,
    wide,
)
from beholder.training._guidance.metering import Progress, metered
from beholder.training._guidance.undisturbed import undisturbed
from beholder.training._tuning.signal import Signal
from beholder.training.fit.learner import require
from beholder.training.pipeline import Driver, Sampling, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """How strongly a reward pulls, and when.

    Attributes:
        scale: length of the pull in lengths of the step itself: at 1 the reward moves the latents
            as far as the denoiser does; 0 is without.
        from_level, to_level: steps are guided while the noise level |∂x_0 / ∂output| lies between
            them: sqrt(1 / SNR) of models that predict noise, the share of noise of flow matching.
    """

    scale: float = 0.5
    from_level: float = 1.0
    to_level: float = 0.1

    def __post_init__(self) -> None:
        require("scale", self.scale, least=0)
        require("from_level", self.from_level, above=0)
        require("to_level", self.to_level, least=0, most=self.from_level)


@dataclass(frozen=True, slots=True)
class Guided:
    """Pictures that were pulled.

    Attributes:
        pixels: in [0, 1], on the CPU.
        scores: of these pictures; NaN in rows of `errors`.
        seeds: of these pictures.
        guided_steps: indices of the k steps that were guided.
        previews: score of x_0 before each pull; NaN where a picture was not pulled.
        errors: row -> why a picture has no score.
        steps_run: steps of the denoiser, counted for each picture; guided ones went backward too.
    """

    pixels: Float[Tensor, "b 3 h w"]
    scores: Float[Tensor, " b"]
    seeds: tuple[int, ...]
    guided_steps: tuple[int, ...]
    previews: Float[Tensor, "b k"]
    errors: Mapping[int, str]
    steps_run: int


def guided(
    driver: Driver,
    signal: Signal,
    prompts: Sequence[str],
    sampling: Sampling,
    guidance: Guidance,
    *,
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> Guided:
    """One picture a prompt, in one batch, each step of which is followed by a pull uphill.

    With g the gradient of the score of the decoded x_0 with respect to x_t (as in Universal
    Guidance, Bansal et al., 2023, eq. 6, through the denoiser), the next latents become
    x_{t-1} + scale ‖x_{t-1} - x_t‖ g / ‖g‖, picture by picture. A guided step takes one forward
    and one backward pass; memory holds one step.

    Raises:
        ConfigError: if the reward gives no gradient, or the scheduler scales its latents.
        BeholderError: if at some step the reward gives no picture of the batch a score.
    """
    require_gradient(signal)
    pull = _Pull(driver, signal, list(prompts), sampling, guidance)
    with metered(driver.pipe.scheduler, progress) as meter:
        pixels = pull.sample(seeds).detach().float().cpu()
    scores, errors = scored(signal, pixels, prompts)
    previews = torch.stack(pull.previews, 1) if pull.previews else torch.empty(len(prompts), 0)
    return Guided(pixels, scores, tuple(seeds), tuple(pull.steps), previews, errors, meter.steps)


class _Pull:
    """The callback of guided steps; gradients are on while the next step is one of them."""

    def __init__(
        self,
        driver: Driver,
        signal: Signal,
        prompts: list[str],
        sampling: Sampling,
        guidance: Guidance,
    ) -> None:
        self._driver, self._signal = driver, signal
        self._prompts, self._sampling, self._guidance = prompts, sampling, guidance
        self.steps: list[int] = []
        self.previews: list[Tensor] = []

    def sample(self, seeds: Sequence[int]) -> Tensor:
        driver, prompts, sampling = self._driver, self._prompts, self._sampling
        if self._guidance.scale == 0:
            with torch.no_grad():
                return driver.sample(prompts, sampling, seeds=seeds).pixels
        # The first step's level is not known before it is run, so its graph is always kept.
        with begun(driver.pipe, lambda drawn: drawn.detach().requires_grad_()):
            return driver.sample(
                prompts, sampling, seeds=seeds, grad_from=0, on_step=self._stepped
            ).pixels

    def _stepped(self, step: Step) -> Tensor:
        following = step.following.detach()
        if self._is_guided(step.t):
            direction = self._direction(step)
            length = per_picture_norm(following - step.sample.detach()) * self._guidance.scale
            following = (following + wide(length, direction) * direction).to(following.dtype)
        goes_on = self._next_is_guided(step.index)
        torch.set_grad_enabled(goes_on)
        return following.requires_grad_(goes_on)

    def _direction(self, step: Step) -> Tensor:
        """Of steepest ascent of the score of x_0, of length 1; 0 where there is none."""
        with undisturbed(self._driver.pipe):
            pixels = self._driver.decode(step.x0, self._sampling)
        scores = self._signal(pixels, self._prompts)
        self.steps.append(step.index)
        self.previews.append(scores.detach().float().cpu())
        gradient = score_gradient(scores, pixels, step.sample)
        length = per_picture_norm(gradient)
        return gradient / wide(length.where(length > 0, 1), gradient)

    def _is_guided(self, t: Tensor) -> bool:
        level = float(self._driver.noise.level(t))
        return self._guidance.to_level <= level <= self._guidance.from_level

    def _next_is_guided(self, index: int) -> bool:
        times = self._driver.pipe.scheduler.timesteps
        return index + 1 < len(times) and self._is_guided(times[index + 1])
