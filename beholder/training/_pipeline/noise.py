"""How a scheduler mixes pictures and noise, and what its model is trained to give."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor
from typing_extensions import override

from beholder.errors import ConfigError


class Noise(ABC):
    """x_t = a(t) x_0 + s(t) ε, for a time t of each picture; shapes (b, …) and (b)."""

    @abstractmethod
    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The factors a and s at times as the scheduler counts them."""

    @abstractmethod
    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What a perfect model gives at x_t."""

    @abstractmethod
    def x0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The x_0 that a model's output stands for."""

    @abstractmethod
    def level(self, t: Tensor) -> Tensor:
        """|∂x_0 / ∂output|: how much of the output's gradient x_0 feels; 0 without noise."""

    @abstractmethod
    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Times to train at."""

    @final
    def mix(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t of clean latents and noise."""
        alpha, sigma = (wide(c, x0) for c in self.coefficients(t))
        return (alpha * x0 + sigma * noise).to(x0.dtype)


@final
class Diffusion(Noise):
    """Variance preserving: a² + s² = 1 (DDPM, DDIM), predicting noise, velocity or the sample."""

    def __init__(self, scheduler: Any) -> None:
        self._products: Tensor = scheduler.alphas_cumprod
        self._kind = str(scheduler.config.prediction_type)
        if self._kind not in {"epsilon", "v_prediction", "sample"}:
            raise ConfigError(f"the scheduler predicts {self._kind!r}, which is not known here")

    @override
    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        product = self._products.to(t.device)[t.long()]
        return product.sqrt(), (1 - product).sqrt()

    @override
    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (wide(c, x0) for c in self.coefficients(t))
        return {"epsilon": noise, "sample": x0, "v_prediction": alpha * noise - sigma * x0}[
            self._kind
        ]

    @override
    def x0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (wide(c, x_t) for c in self.coefficients(t))
        if self._kind == "sample":
            return output
        if self._kind == "epsilon":
            return (x_t - sigma * output) / alpha
        return alpha * x_t - sigma * output

    @override
    def level(self, t: Tensor) -> Tensor:
        alpha, sigma = self.coefficients(t)
        return {"epsilon": sigma / alpha, "v_prediction": sigma, "sample": torch.ones_like(sigma)}[
            self._kind
        ]

    @override
    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randint(
            len(self._products), (count,), generator=generator, device=generator.device
        )


@final
class Flow(Noise):
    """Rectified flow: a = 1 - s, s = t / T, predicting the velocity ε - x_0."""

    def __init__(self, scheduler: Any) -> None:
        self._steps = float(scheduler.config.num_train_timesteps)

    @override
    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        sigma = t.float() / self._steps
        return 1 - sigma, sigma

    @override
    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return noise - x0

    @override
    def x0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        return x_t - wide(self.level(t), x_t) * output

    @override
    def level(self, t: Tensor) -> Tensor:
        return self.coefficients(t)[1]

    @override
    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """logit-normal(0, 1) levels (Esser et al., 2024, section 3.1)."""
        normal = torch.randn(count, generator=generator, device=generator.device)
        return normal.sigmoid() * self._steps


def noise_of(scheduler: Any) -> Noise | None:
    """The noise of a scheduler; None where its latents grow with its noise level."""
    if "FlowMatch" in type(scheduler).__name__:
        return Flow(scheduler)
    return None if hasattr(scheduler, "sigmas") else Diffusion(scheduler)


def window(levels: Sequence[float], low: float, high: float) -> list[int]:
    """Steps whose noise level is in [low, high]; ConfigError if there are none."""
    found = [index for index, level in enumerate(levels) if low <= level <= high]
    if not found:
        told = ", ".join(f"{level:.3g}" for level in levels)
        raise ConfigError(
            f"no step has a noise level in [{low:g}, {high:g}]; the {len(levels)} steps have "
            f"{told}: widen the window, or sample with more steps"
        )
    return found


def wide(coefficient: Tensor, like: Tensor) -> Tensor:
    """(b) as (b, 1, …) beside `like`."""
    return coefficient.reshape(-1, *[1] * (like.ndim - 1)).to(like.device)
