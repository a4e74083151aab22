import torch

from beholder.training._guidance.metering import metered
from beholder.training.pipeline import Sampling
from tests.training._guidance.drivers import PROMPTS, driver, small


def test_every_step_of_every_picture_counts_once_with_guidance_or_without() -> None:
    told: list[int] = []
    one = driver("sd")
    for guidance in (0.0, 5.0):
        with metered(one.pipe.scheduler, told.append) as meter:
            one.sample(PROMPTS, small("sd", guidance=guidance), seeds=[0, 1])
        assert meter.steps == 4 * 2
    assert told == [2] * 8


def test_steps_that_are_not_run_do_not_count() -> None:
    one = driver("sd")
    with metered(one.pipe.scheduler) as meter, torch.no_grad():
        stopped = one.sample(PROMPTS, small("sd"), seeds=[0, 1], stop_at=1)
        one.decode(stopped.latents, small("sd"))
    assert meter.steps == 2 * 2


def test_the_meter_takes_nothing_from_the_run() -> None:
    one, sampling = driver("sd"), Sampling(steps=2, height=16, width=16)
    with metered(one.pipe.scheduler), torch.no_grad():
        metered_pixels = one.sample(PROMPTS, sampling, seeds=[0, 1]).pixels
    with torch.no_grad():
        assert torch.equal(one.sample(PROMPTS, sampling, seeds=[0, 1]).pixels, metered_pixels)
    assert "step" not in vars(one.pipe.scheduler)
