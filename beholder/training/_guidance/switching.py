"""The base model paints the outline, the tuned one the rest."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import ConfigError
from beholder.training._guidance.metering import Progress, metered
from beholder.training._pipeline.taps import steps_watched
from beholder.training.fit.learner import require
from beholder.training.pipeline import Driver, Sampling


@dataclass(frozen=True, slots=True)
class Switched:
    """Pictures of two models.

    Attributes:
        pixels: in [0, 1], on the CPU.
        seeds: of these pictures.
        steps_run: steps of the denoiser, counted for each picture.
    """

    pixels: Float[Tensor, "b 3 h w"]
    seeds: tuple[int, ...]
    steps_run: int


@torch.no_grad()
def base_early(
    driver: Driver,
    prompts: Sequence[str],
    sampling: Sampling,
    *,
    switch_at: int,
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> Switched:
    """One picture a prompt, in one batch: adapters off before step `switch_at`, then on.

    The layout, and with it the variety, is the base model's; the finish is the tuned one's
    (ImageReFL, 2025, combined generation). 0 is the tuned pipeline; as many as there are steps is
    the base. Raises ConfigError if the pipeline has no adapters or `switch_at` is out of range.
    """
    require("switch_at", switch_at, least=0, most=sampling.steps)
    if not getattr(driver.denoiser, "peft_config", None):
        raise ConfigError(
            "the pipeline has no adapters to switch; load some: pipe.load_lora_weights(folder)"
        )
    scheduler = driver.pipe.scheduler
    with ExitStack() as base, metered(scheduler, progress) as meter:
        if switch_at > 0:
            base.enter_context(driver.reference())

        def stepped(*_: Any) -> None:
            if meter.steps == switch_at * len(prompts):
                base.close()

        with steps_watched(scheduler, stepped):
            pixels = driver.sample(prompts, sampling, seeds=seeds).pixels
    return Switched(pixels.float().cpu(), tuple(seeds), meter.steps)
