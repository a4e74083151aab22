"""What is seen, changed and cut short from inside a pipeline's loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from beholder.errors import ConfigError
from beholder.training._pipeline.taps import Cut, steps_watched


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a sampling run, as the scheduler saw it.

    Attributes:
        index: from 0.
        t: the time, as the scheduler counts it.
        sample, output: x_t, and what the model gave with guidance.
        following: what the next step starts from.
        x0: the clean latents that the output stands for.
    """

    index: int
    t: Tensor
    sample: Tensor
    output: Tensor
    following: Tensor
    x0: Tensor


OnStep = Callable[[Step], Tensor | None]
"""Called after each step; what it gives replaces the latents of the next."""

X0Of = Callable[[Tensor, Tensor, Tensor, Any], Tensor]
"""(output, t, sample, the scheduler's result) -> x_0."""


class Watch:
    """Turns gradients on, tells steps, and stops, from inside one run of a pipeline.

    Args:
        x0_of: tells x_0 of a step.
        grad_from: index of the first step with gradients; None gives none.
        stop_at: index of the step that is the last; None goes on to the end.
        on_step: see `OnStep`.

    Attributes:
        latents: of the run so far; x_0 if it was stopped.
    """

    def __init__(
        self, x0_of: X0Of, grad_from: int | None, stop_at: int | None, on_step: OnStep | None
    ) -> None:
        self._x0_of = x0_of
        self._grad_from, self._stop_at, self._on_step = grad_from, stop_at, on_step
        self._index = 0
        self._replacement: Tensor | None = None
        self.latents = torch.empty(0)

    @contextmanager
    def on(self, scheduler: Any) -> Iterator[None]:
        """Inside, the run is watched, and left where it stops."""
        grad = torch.set_grad_enabled(self._grad_from == 0)
        with grad, suppress(Cut), steps_watched(scheduler, self._stepped):
            yield
        stop_at, grad_from = self._stop_at, self._grad_from
        bad_stop = stop_at is not None and not 0 <= stop_at < self._index
        if bad_stop or (grad_from is not None and not 0 <= grad_from <= self._index):
            raise ConfigError(
                f"the run has {self._index} steps, so 0 <= stop_at < {self._index} and "
                f"0 <= grad_from <= {self._index}; got {stop_at} and {grad_from}"
            )

    def step_ended(
        self, pipe: Any, index: int, t: Any, tensors: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The pipeline's callback."""
        self.latents = tensors["latents"]
        if self._replacement is not None:
            self.latents = self._replacement.to(self.latents)
        self._replacement = None
        if self._index == self._grad_from:
            torch.set_grad_enabled(True)
        return {"latents": self.latents}

    def _stepped(self, output: Tensor, t: Tensor, sample: Tensor, result: Any) -> None:
        """After a step of the scheduler."""
        index, self._index = self._index, self._index + 1
        is_last = index == self._stop_at
        if self._on_step is None and not is_last:
            return
        x0 = self._x0_of(output, t, sample, result).to(result.prev_sample.dtype)
        if self._on_step is not None:
            step = Step(index, t, sample, output, result.prev_sample, x0)
            self._replacement = self._on_step(step)
        if is_last:
            self.latents = x0
            raise Cut
