"""Better noise to begin with, for models of one or a few steps (ReNO)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import ConfigError
from beholder.training._guidance.beginning import begun
from beholder.training._guidance.candidates import scored
from beholder.training._guidance.gradients import (
    per_picture_norm,
    require_gradient,
    score_gradient,
    wide,
)
from beholder.training._guidance.metering import Progress, metered
from beholder.training._tuning.signal import Signal
from beholder.training.fit.learner import require
from beholder.training.pipeline import Driver, Sampling

_MOMENTUM = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSearch:
    """How noise is optimised; the defaults are those of ReNO (Eyring et al., NeurIPS 2024).

    Attributes:
        iterations: pictures of each prompt that are made.
        learning_rate: of gradient ascent with Nesterov momentum 0.9.
        regularisation: weight of the pull back to where Gaussian noise lies.
        clip: the gradient of each picture is cut to this norm.
        spread: scores are divided by it: their standard deviation over pictures makes rewards of
            any scale weigh alike. The smaller it is, the less the regularisation holds.
        most_steps: runs of more steps are refused: their graphs are kept whole.
    """

    iterations: int = 50
    learning_rate: float = 5.0
    regularisation: float = 0.01
    clip: float = 0.1
    spread: float = 1.0
    most_steps: int = 4

    def __post_init__(self) -> None:
        for name in ("iterations", "learning_rate", "clip", "spread", "most_steps"):
            require(name, getattr(self, name), above=0)
        require("regularisation", self.regularisation, least=0)


@dataclass(frozen=True, slots=True)
class Searched:
    """The best picture that was met on the way.

    Attributes:
        pixels: in [0, 1], on the CPU.
        scores: of these pictures; NaN in rows of `errors`.
        seeds: of the noise that each search began with.
        history: the score at each of k iterations.
        radius: ‖z‖ / √d of the noise z of the best pictures; near 1, as of Gaussian noise.
        noise: that noise, scaled to spread 1, as the family packs it.
        errors: row -> why a picture has no score.
        steps_run: steps of the denoiser, counted for each picture; all went backward too.
    """

    pixels: Float[Tensor, "b 3 h w"]
    scores: Float[Tensor, " b"]
    seeds: tuple[int, ...]
    history: Float[Tensor, "b k"]
    radius: Float[Tensor, " b"]
    noise: Tensor
    errors: Mapping[int, str]
    steps_run: int


def optimise_noise(
    driver: Driver,
    signal: Signal,
    prompts: Sequence[str],
    sampling: Sampling,
    search: NoiseSearch,
    *,
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> Searched:
    """One picture a prompt, in one batch, whose noise z was moved towards a higher score.

    Descends -score / spread + regularisation (½‖z‖² - (d - 1) log ‖z‖), whose second part is the
    negative log-density of the norm of d Gaussian values (ReNO, eq. 6), and keeps the best
    picture met. The first is the plain picture of its seed.

    Raises:
        ConfigError: if the reward gives no gradient or the run has more than `search.most_steps`.
        BeholderError: if at some iteration the reward gives no picture of the batch a score.
    """
    require_gradient(signal)
    if sampling.steps > search.most_steps:
        raise ConfigError(
            f"{sampling.steps} steps keep {sampling.steps} graphs in memory and their gradient "
            f"fades; take a distilled model of at most {search.most_steps} steps, or raise "
            "most_steps"
        )
    ascent = _Ascent(driver, signal, prompts, sampling, search)
    with metered(driver.pipe.scheduler, progress) as meter:
        for _ in range(search.iterations):
            ascent.step(seeds)
    pixels = ascent.pixels.cpu()
    scores, errors = scored(signal, pixels, prompts)
    return Searched(
        pixels=pixels,
        scores=scores,
        seeds=tuple(seeds),
        history=torch.stack(ascent.history, 1),
        radius=per_picture_norm(ascent.best).cpu() / math.sqrt(ascent.best[0].numel()),
        noise=ascent.best,
        errors=errors,
        steps_run=meter.steps,
    )


def shell_gradient(z: Tensor) -> Tensor:
    """∂/∂z of ½‖z‖² - (d - 1) log ‖z‖: 0 where ‖z‖ = √(d - 1), the most likely norm of noise."""
    freedom = z[0].numel() - 1
    return z * (1 - freedom / wide(per_picture_norm(z).square(), z))


class _Ascent:
    """The noise z, its momentum, and the best of it so far."""

    def __init__(
        self,
        driver: Driver,
        signal: Signal,
        prompts: Sequence[str],
        sampling: Sampling,
        search: NoiseSearch,
    ) -> None:
        self._driver, self._signal, self._sampling = driver, signal, sampling
        self._prompts, self._search = list(prompts), search
        self._z: list[Tensor] = []
        self._optimizer: Any = None
        self._best_scores = torch.full((len(prompts),), math.nan, device=driver.device)
        self.best = self.pixels = torch.empty(0)
        self.history: list[Tensor] = []

    def step(self, seeds: Sequence[int]) -> None:
        """One picture of each noise, and one move uphill."""
        with begun(self._driver.pipe, self._given):
            pixels = self._driver.sample(
                self._prompts, self._sampling, seeds=seeds, grad_from=0
            ).pixels
        scores = self._signal(pixels, self._prompts)
        self._keep(scores.detach(), pixels.detach().float())
        self._move(score_gradient(scores, pixels, self._z[0]))

    def _given(self, drawn: Tensor) -> Tensor:
        # Schedulers that count in levels want noise of their schedule's highest one.
        scale = float(getattr(self._driver.pipe.scheduler, "init_noise_sigma", 1.0))
        if not self._z:
            self._begin((drawn.detach().float() / scale).clone())
        return (self._z[0] * scale).to(drawn.dtype)

    def _begin(self, z: Tensor) -> None:
        self._z = [z.requires_grad_()]
        self._optimizer = torch.optim.SGD(
            self._z, lr=self._search.learning_rate, momentum=_MOMENTUM, nesterov=True
        )

    def _keep(self, scores: Float[Tensor, " b"], pixels: Float[Tensor, "b 3 h w"]) -> None:
        self.history.append(scores.float().cpu())
        z = self._z[0].detach()
        if len(self.history) == 1:
            self._best_scores, self.pixels, self.best = scores.clone(), pixels, z.clone()
            return
        before = self._best_scores
        is_better = (scores > before) | (before.isnan() & ~scores.isnan())
        self._best_scores = scores.where(is_better, before)
        self.pixels = pixels.where(wide(is_better, pixels), self.pixels)
        self.best = z.where(wide(is_better, z), self.best)

    def _move(self, ascent: Tensor) -> None:
        """One step of gradient descent on the loss; `ascent` is the gradient of the score."""
        z, search = self._z[0], self._search
        descent = search.regularisation * shell_gradient(z.detach()) - ascent / search.spread
        too_long = (per_picture_norm(descent) / search.clip).clamp(min=1)
        z.grad = descent / wide(too_long, descent)
        self._optimizer.step()
