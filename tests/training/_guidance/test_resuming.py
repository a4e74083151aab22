from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, LCMScheduler

from beholder.training._guidance.resuming import can_resume, resumed
from beholder.training.pipeline import Driver, Step
from tests.training._guidance.drivers import PROMPTS, driver, plain, small
from tests.training.tiny_pipelines import FAMILIES, tiny


@pytest.mark.parametrize("name", FAMILIES)
def test_a_run_that_is_resumed_gives_the_picture_that_it_would_have_given(name: str) -> None:
    one, sampling = driver(name), small(name)
    latents: list[torch.Tensor] = []

    def note(step: Step) -> None:
        latents.append(step.following)

    assert can_resume(one, sampling)
    with torch.no_grad():
        one.sample(PROMPTS, sampling, seeds=[0, 1], on_step=note)
        with resumed(one.pipe, latents[1][1:], 2):
            second = one.sample(PROMPTS[1:], sampling, seeds=[1]).pixels
    assert torch.allclose(second, plain(name, [0, 1], sampling)[1:], atol=1e-5)
    assert torch.allclose(plain(name, [0, 1], sampling)[1:], second, atol=1e-5)  # nothing stayed


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [
        ("sd", LCMScheduler()),
        ("sd3", FlowMatchEulerDiscreteScheduler(shift=3.0, stochastic_sampling=True)),
    ],
)
def test_a_run_whose_scheduler_draws_noise_is_not_resumed(name: str, scheduler: Any) -> None:
    pipe = tiny(name)
    pipe.scheduler = scheduler
    assert not can_resume(Driver(pipe, keep_scheduler=True), small(name))


def test_ddim_with_noise_is_not_resumed() -> None:
    assert can_resume(driver("sd"), small("sd", call={"eta": 0.0}))
    assert not can_resume(driver("sd"), small("sd", call={"eta": 1.0}))
