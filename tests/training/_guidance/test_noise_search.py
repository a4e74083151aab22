import math

import pytest
import torch
from diffusers import EulerDiscreteScheduler

from beholder.errors import ConfigError
from beholder.training._guidance.noise_search import (
    NoiseSearch,
    Searched,
    optimise_noise,
    shell_gradient,
)
from beholder.training._tuning.signal import Signal
from beholder.training.pipeline import Driver, Sampling
from tests.training._guidance.drivers import PROMPTS, driver, plain, redness, small
from tests.training._guidance.test_candidates import Moody
from tests.training.tiny_pipelines import tiny
from tests.training.toy import SteppedRedness


def searched(
    name: str,
    iterations: int,
    prompts: list[str] = PROMPTS,
    spread: float = 0.01,
    regularisation: float = 0.01,
) -> Searched:
    return optimise_noise(
        driver(name),
        redness(),
        prompts,
        small(name, steps=1),
        NoiseSearch(iterations=iterations, spread=spread, regularisation=regularisation),
        seeds=list(range(len(prompts))),
    )


@pytest.mark.parametrize("name", ["sd", "sd3", "flux"])
def test_scores_rise_on_the_shell_where_noise_lies(name: str) -> None:
    found = searched(name, 15, spread=0.3)
    assert (found.scores > found.history[:, 0] + 5e-4).all()
    assert torch.allclose(found.scores, found.history.max(1).values, atol=1e-5)
    assert torch.allclose(found.scores, redness()(found.pixels, PROMPTS), atol=1e-5)
    assert found.history.shape == (2, 15)
    assert found.steps_run == 2 * 15
    assert ((found.radius > 0.9) & (found.radius < 1.1)).all()


@pytest.mark.parametrize("name", ["sd", "flux"])
def test_one_iteration_is_the_plain_picture(name: str) -> None:
    found = searched(name, 1)
    assert torch.allclose(found.pixels, plain(name, [0, 1], small(name, steps=1)), atol=1e-5)
    again = driver(name).sample(PROMPTS, small(name, steps=1), latents=found.noise).pixels
    assert torch.allclose(found.pixels, again, atol=1e-5)


def test_the_first_move_is_nesterovs_along_the_cut_gradient() -> None:
    begin, moved = searched("sd3", 1), searched("sd3", 2)
    assert (moved.history[:, 1] > moved.history[:, 0]).all()
    length = (moved.noise - begin.noise).flatten(1).norm(dim=1)
    assert torch.allclose(length, torch.tensor(5.0 * (1 + 0.9) * 0.1), rtol=1e-3)


def test_the_pull_to_the_shell_is_the_derivative_of_the_density_of_a_norm() -> None:
    z = torch.randn(3, 4, 2, 2, dtype=torch.float64).requires_grad_()
    norm = z.flatten(1).norm(dim=1)
    loss = (norm.square() / 2 - 15 * norm.log()).sum()
    (expected,) = torch.autograd.grad(loss, z)
    assert torch.allclose(shell_gradient(z.detach()), expected, rtol=1e-5)
    on_shell = z.detach() / norm.detach().reshape(3, 1, 1, 1) * math.sqrt(15)
    assert shell_gradient(on_shell).abs().max() < 1e-5


def test_the_regularisation_holds_noise_back_from_where_a_hungry_reward_drives_it() -> None:
    free, held = (searched("flux", 15, regularisation=weight) for weight in (0.0, 0.3))
    assert (free.radius > 1.3).all()
    assert ((held.radius - 1).abs() < 0.2).all()
    assert (held.scores > held.history[:, 0]).all()


def test_noise_far_from_the_shell_comes_back_to_it() -> None:
    z = 3 * torch.randn(1, 4, 8, 8)
    for _ in range(200):
        z = z - 0.1 * shell_gradient(z)
    assert float(z.norm()) == pytest.approx(math.sqrt(255), rel=1e-3)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_latents_that_a_scheduler_scales_are_searched_at_spread_one() -> None:
    pipe = tiny("sd")
    pipe.scheduler = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012)
    scaled = Driver(pipe, keep_scheduler=True)
    sampling = Sampling(steps=2, height=16, width=16)
    pipe.scheduler.set_timesteps(2)
    assert pipe.scheduler.init_noise_sigma > 10
    found = optimise_noise(
        scaled, redness(), PROMPTS, sampling, NoiseSearch(iterations=3), seeds=[0, 1]
    )
    first = optimise_noise(
        scaled, redness(), PROMPTS, sampling, NoiseSearch(iterations=1), seeds=[0, 1]
    )
    with torch.no_grad():
        free = scaled.sample(PROMPTS, sampling, seeds=[0, 1]).pixels
    assert torch.allclose(first.pixels, free, atol=1e-5)
    assert ((found.radius > 0.9) & (found.radius < 1.1)).all()
    assert (found.scores >= found.history[:, 0] - 1e-6).all()


def test_neighbours_change_nothing() -> None:
    alone, together = searched("sd3", 4, PROMPTS[:1]), searched("sd3", 4)
    assert torch.allclose(alone.history, together.history[:1], atol=1e-5)
    assert torch.allclose(alone.pixels, together.pixels[:1], atol=1e-4)


def test_a_picture_without_a_score_keeps_its_noise_on_the_shell_and_is_an_error() -> None:
    found = optimise_noise(
        driver("sd3"),
        Signal(Moody()),
        ["a cat", "ghost"],
        small("sd3", steps=1),
        NoiseSearch(iterations=3),
        seeds=[0, 1],
    )
    assert list(found.errors) == [1]
    assert found.scores[1].isnan()
    with torch.no_grad():
        sampling = small("sd3", steps=1)
        free = driver("sd3").sample(["a cat", "ghost"], sampling, seeds=[0, 1]).pixels
    assert torch.allclose(found.pixels[1], free[1], atol=1e-5)


def test_long_runs_are_refused_unless_they_are_asked_for() -> None:
    sampling = small("sd3", steps=5)
    with pytest.raises(ConfigError, match="5 steps keep 5 graphs in memory"):
        optimise_noise(driver("sd3"), redness(), PROMPTS, sampling, NoiseSearch(), seeds=[0, 1])
    search = NoiseSearch(iterations=1, most_steps=5)
    found = optimise_noise(driver("sd3"), redness(), PROMPTS, sampling, search, seeds=[0, 1])
    assert found.steps_run == 10
    with pytest.raises(ConfigError, match="gives no gradient"):
        optimise_noise(
            driver("sd3"), Signal(SteppedRedness()), PROMPTS, sampling, search, seeds=[0, 1]
        )
    with pytest.raises(ConfigError, match="clip must be above 0"):
        NoiseSearch(clip=0)
