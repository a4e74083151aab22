"""Whether a pipeline, driven, is the pipeline: what to know before hours of training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from beholder.errors import ConfigError
from beholder.training._pipeline.sampling import Sampling
from beholder.training._pipeline.watch import Step
from beholder.training.pipeline import Driver

_MOST = 1e-2


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What a driver showed on one picture.

    Attributes:
        identity_error: largest difference of a pixel to the pipeline's own call, of 1.
        replay_error: largest difference of the denoiser, run again at a step of a run, to what it
            gave there, as a share of its largest output; None where the scheduler forbids it.
        levels: noise level of each step.
        gradient_norms: step -> norm of the gradient that reaches the adapters from its x_0.
    """

    identity_error: float
    replay_error: float | None
    levels: tuple[float, ...]
    gradient_norms: Mapping[int, float]

    def lines(self) -> list[str]:
        """The findings, for people."""
        replay = "none" if self.replay_error is None else f"{self.replay_error:.2g}"
        levels = ", ".join(f"{level:.3g}" for level in self.levels)
        return [
            f"difference to the pipeline's own picture: {self.identity_error:.2g}",
            f"difference of the denoiser run again: {replay}",
            f"noise levels of the steps: {levels}",
            *(
                f"gradient from step {step} (level {self.levels[step]:.3g}): {norm:.3g}"
                for step, norm in self.gradient_norms.items()
            ),
        ]

    def faults(self) -> list[str]:
        """What is wrong; empty if nothing is."""
        found = []
        if not self.identity_error <= _MOST:
            found.append(f"the picture differs by {self.identity_error:.2g} from the pipeline's")
        if self.replay_error is not None and not self.replay_error <= _MOST:
            found.append(f"the denoiser, run again, differs by {self.replay_error:.2g}")
        for step, norm in self.gradient_norms.items():
            if not 0 < norm < math.inf:
                found.append(f"the gradient from step {step} is {norm:g}")
        return found


def self_test(
    driver: Driver, prompt: str, sampling: Sampling, low: float = 0.15, high: float = 0.65
) -> SelfTest:
    """Drive one picture of the prompt and compare: identity, replay, gradient.

    Gradients are taken at the first and last step whose noise level is in [low, high], or at the
    nearest step if there is none. The driver has its adapters; fresh ones change nothing and get a
    gradient in one of their two factors alone, which counts.
    """
    levels = driver.levels(prompt, sampling)
    return SelfTest(
        identity_error=_identity_error(driver, prompt, sampling),
        replay_error=_replay_error(driver, prompt, sampling),
        levels=tuple(levels),
        gradient_norms={
            step: _gradient_norm(driver, prompt, sampling, step)
            for step in _ends(levels, low, high)
        },
    )


def _ends(levels: Sequence[float], low: float, high: float) -> list[int]:
    """First and last step of the window."""
    try:
        steps = Driver.window(levels, low, high)
    except ConfigError:
        away = [max(low - level, level - high) for level in levels]
        steps = [away.index(min(away))]
    return sorted({steps[0], steps[-1]})


@torch.no_grad()
def _identity_error(driver: Driver, prompt: str, sampling: Sampling) -> float:
    own = driver.own_call([prompt], sampling, seeds=[0])
    return _largest(driver.sample([prompt], sampling, seeds=[0]).pixels - own)


@torch.no_grad()
def _replay_error(driver: Driver, prompt: str, sampling: Sampling) -> float | None:
    if not driver.can_predict:
        return None
    kept: list[Step] = []
    unguided = replace(sampling, guidance=0)
    driver.sample([prompt], unguided, seeds=[0], on_step=kept.append, decode=False)
    step = kept[len(kept) // 2]
    output = driver.predict(step.sample, step.t.expand(1), [prompt], sampling)
    return _largest(output - step.output) / max(_largest(step.output), 1e-12)


def _gradient_norm(driver: Driver, prompt: str, sampling: Sampling, step: int) -> float:
    weights = [w for _, w in driver.trained().named_parameters()]
    pixels = driver.sample([prompt], sampling, seeds=[0], grad_from=step, stop_at=step).pixels
    gradients = torch.autograd.grad(pixels.float().mean(), weights, allow_unused=True)
    return math.sqrt(sum(float(g.float().square().sum()) for g in gradients if g is not None))


def _largest(values: Tensor) -> float:
    return float(values.detach().float().abs().max())
