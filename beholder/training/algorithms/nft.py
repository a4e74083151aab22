"""DiffusionNFT: of samples of an older policy the good ones are learned, the bad ones unlearned.

Zheng et al. (2025, arXiv 2509.16117). A group of pictures of each prompt is sampled by any solver
and without guidance, and scored; each is noised to random times, and the model moves towards what
the good ones denoise to and away from the bad ones. No trajectory is kept and no likelihood
computed; the reward needs no gradient.

The older policy is a running average of the adapters, kept beside them: at the start of optimizer
step s it becomes d old + (1 - d) current, d = min(0.001 s, 0.5). It is a state of the run: after
step s - 1 the checkpoint holds the average that this step used, and the first batch after it, of
an interrupted run or not, makes the next one of it and of the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import override

from beholder.training._tuning.pairs_online import repeated, sample_groups
from beholder.training._tuning.signal import score_logs
from beholder.training.algorithms._base import (
    Algorithm,
    PromptBatch,
    Studio,
    TuneConfig,
    generator_of,
)
from beholder.training.fit.learner import require
from beholder.training.fit.loop import Logs
from beholder.training.pipeline import swapped
from beholder.training.preference_losses import nft_loss, optimality
from beholder.training.tuning_losses import output_distance

_PREFIX = "old/"


@dataclass(frozen=True, slots=True, kw_only=True)
class NftConfig(TuneConfig):
    """What DiffusionNFT is asked. Pictures to learn from are sampled without guidance.

    Attributes:
        group: pictures of each prompt.
        times_per_sample: random times at which each picture is learned from.
        spread: the standard deviation that scores are measured in: of a prompt's own ("group") or
            of all in the batch ("global").
        beta: how much of the step to a better policy is taken at once.
        old_decay_per_step, old_decay_most: the older policy forgets min(first * step, second) less
            than all of what it was.
        kl: as of every tuning.
    """

    algorithm: str = "nft"
    group: int = 8
    times_per_sample: int = 1
    spread: Literal["group", "global"] = "global"
    beta: float = 1.0
    old_decay_per_step: float = 0.001
    old_decay_most: float = 0.5
    kl: float = 1e-4

    def __post_init__(self) -> None:
        TuneConfig.__post_init__(self)
        require("group", self.group, least=2)
        require("times_per_sample", self.times_per_sample, above=0)
        require("beta", self.beta, above=0)
        require("old_decay_per_step", self.old_decay_per_step, least=0)
        require("old_decay_most", self.old_decay_most, least=0, below=1)


_NOTHING: Logs = {"kl/outputs": 0.0, "nft/from_old": 0.0}
"""What is logged where nothing can be learned: distance to the reference and the older policy."""


class Nft(Algorithm[NftConfig]):
    """DiffusionNFT with an older policy in `state()`."""

    title: ClassVar[str] = "DiffusionNFT"
    paper: ClassVar[str] = (
        "K. Zheng et al., DiffusionNFT: Online Diffusion Reinforcement with Forward Process, 2025."
    )

    def __init__(self, studio: Studio, config: NftConfig) -> None:
        super().__init__(studio, config)
        self._weights = dict(studio.trained.named_parameters())
        self._old = {name: w.detach().clone() for name, w in self._weights.items()}
        self._sampling = replace(config.sampling, guidance=0)
        self._batches_per_step = config.fit.accumulation
        self._followed: int | None = None

    @override
    def state(self) -> Mapping[str, Tensor]:
        return {f"{_PREFIX}{name}": old for name, old in self._old.items()}

    @override
    def batches(self, start: int, stride: int) -> Iterator[Any]:
        self._batches_per_step = stride * self.config.fit.accumulation
        return super().batches(start, stride)

    @override
    def step(self, batch: PromptBatch) -> tuple[Tensor, Logs]:
        """Loss of a batch; nft/kept is the share of its pictures of which something is learned."""
        self._follow(batch.number // self._batches_per_step)
        generator = generator_of(self.studio.driver.device)
        x0, r, prompts, scores = self._judged(batch, generator)
        loss, logs = self.nothing_learned(), _NOTHING
        if len(r):
            loss, logs = self._learned(x0, r, prompts, generator)
        told = {**score_logs(scores), "nft/kept": len(r) / len(scores), **logs}
        return self.with_pretraining(loss, told, generator)

    def _judged(
        self, batch: PromptBatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, list[str], Tensor]:
        """Clean latents of the older policy, how good each is, their prompts; all scores.

        Pictures of which nothing can be learned are left out.
        """
        size, prompts = self.config.group, repeated(batch.prompts, self.config.group)
        with self._older():
            sampled = sample_groups(
                self.studio.driver, self._sampling, batch.prompts, batch.seeds, size
            )
        scores = self.studio.signal.labels(sampled.pixels, prompts, generator)
        r = optimality(scores.reshape(-1, size), self.config.spread).flatten()
        kept = r.isfinite().nonzero()[:, 0]
        texts = [prompts[k] for k in kept.tolist()]
        return sampled.latents.detach()[kept], r[kept], texts, scores

    def _learned(
        self, x0: Tensor, r: Tensor, prompts: list[str], generator: torch.Generator
    ) -> tuple[Tensor, Logs]:
        driver, config, times = self.studio.driver, self.config, self.config.times_per_sample
        x0, r = x0.repeat_interleave(times, 0), r.repeat_interleave(times, 0)
        noise = torch.randn(x0.shape, generator=generator, device=generator.device).to(x0.dtype)
        t = driver.noise.draw(len(x0), generator)
        x_t, texts = driver.noise.mix(x0, noise, t), repeated(prompts, times)
        # The older weights come and go before the pass whose gradient is wanted.
        with torch.no_grad(), self._older():
            old = driver.predict(x_t, t, texts, self._sampling)
        with torch.no_grad(), driver.reference():
            reference = driver.predict(x_t, t, texts, self._sampling)
        output = driver.predict(x_t, t, texts, self._sampling)
        x0_model, x0_old = (driver.noise.x0(v.float(), x_t.float(), t) for v in (output, old))
        loss = nft_loss(x0_model, x0_old, x0, r, config.beta).mean()
        kl, moved = output_distance(output, reference), output_distance(output, old)
        return loss + config.kl * kl, {"kl/outputs": kl.detach(), "nft/from_old": moved.detach()}

    @contextmanager
    def _older(self) -> Iterator[None]:
        with swapped(self._weights, self._old):
            yield

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        """Bring the older policy to this optimizer step, once."""
        if step == self._followed:
            return
        self._followed = step
        config = self.config
        decay = min(config.old_decay_per_step * step, config.old_decay_most)
        for name, old in self._old.items():
            old.lerp_(self._weights[name], 1 - decay)
