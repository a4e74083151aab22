from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from beholder.errors import ConfigError
from beholder.training._pipeline.watch import OnStep, Step, Watch


class Counting:
    """A scheduler whose step adds the output."""

    def step(self, output: Tensor, t: Tensor, sample: Tensor, return_dict: bool = True) -> Any:
        result = SimpleNamespace(prev_sample=sample + output)
        return result if return_dict else (result.prev_sample,)


def run(watch: Watch, steps: int = 3) -> list[bool]:
    """A pipeline's loop from 0, whose output is 1; whether gradients were on in each step."""
    scheduler, grads = Counting(), []
    latents = torch.zeros(1)
    with watch.on(scheduler):
        for index in range(steps):
            grads.append(torch.is_grad_enabled())
            t = torch.tensor(float(index))
            (latents,) = scheduler.step(torch.ones(1), t, latents, return_dict=False)
            latents = watch.step_ended(None, index, t, {"latents": latents})["latents"]
    return grads


def watching(
    grad_from: int | None = None, stop_at: int | None = None, on_step: OnStep | None = None
) -> Watch:
    return Watch(lambda output, t, sample, _: sample * 10 + t, grad_from, stop_at, on_step)


def test_gradients_are_on_from_the_step_that_was_asked_for() -> None:
    with torch.enable_grad():
        assert run(watching()) == [False, False, False]
        assert run(watching(grad_from=1)) == [False, True, True]
        assert run(watching(grad_from=0)) == [True, True, True]
        assert run(watching(grad_from=3)) == [False, False, False]
        assert torch.is_grad_enabled()


def test_steps_are_told_in_order() -> None:
    seen: list[Step] = []
    watch = watching(on_step=seen.append)
    run(watch)
    assert [(s.index, float(s.sample), float(s.following), float(s.x0)) for s in seen] == [
        (0, 0, 1, 0),
        (1, 1, 2, 11),
        (2, 2, 3, 22),
    ]
    assert watch.latents.tolist() == [3]


def test_what_is_given_back_replaces_the_latents_once() -> None:
    watch = watching(on_step=lambda step: torch.tensor([50.0]) if step.index == 0 else None)
    run(watch)
    assert watch.latents.tolist() == [52]


def test_stopping_leaves_the_run_with_its_x0() -> None:
    watch = watching(stop_at=1)
    assert len(run(watch)) == 2
    assert watch.latents.tolist() == [11]


def test_a_step_that_never_came_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"3 steps, so 0 <= stop_at < 3 .* got 3 and None"):
        run(watching(stop_at=3))
    with pytest.raises(ConfigError, match="0 <= grad_from <= 3; got None and 4"):
        run(watching(grad_from=4))


def test_an_error_inside_passes() -> None:
    with pytest.raises(RuntimeError, match="mine"), watching(stop_at=9).on(Counting()):
        raise RuntimeError("mine")
