"""A run that was left goes on later, with other neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from beholder.training._guidance.beginning import begun
from beholder.training._pipeline.taps import replaced
from beholder.training.pipeline import Driver, Sampling


def can_resume(driver: Driver, sampling: Sampling) -> bool:
    """Whether a run that is resumed gives the picture that it would have given.

    So it is where a step depends on nothing but its latents and its time: DDIM without noise and
    Euler's flow matching. Other schedulers draw noise or remember earlier steps.
    """
    scheduler = driver.pipe.scheduler
    name = type(scheduler).__name__
    if name == "DDIMScheduler":
        return not sampling.call.get("eta")
    return name == "FlowMatchEulerDiscreteScheduler" and not scheduler.config.stochastic_sampling


@contextmanager
def resumed(pipe: Any, latents: Tensor, first: int) -> Iterator[None]:
    """Runs begin with these latents at the step of index `first` of their schedule."""
    scheduler = pipe.scheduler
    own = scheduler.set_timesteps

    def set_timesteps(*args: Any, **kwargs: Any) -> None:
        own(*args, **kwargs)
        scheduler.timesteps = scheduler.timesteps[first:]
        if hasattr(scheduler, "sigmas"):  # found by their place beside the times
            scheduler.sigmas = scheduler.sigmas[first:]

    with replaced(scheduler, "set_timesteps", set_timesteps), begun(pipe, lambda _: latents):
        yield
