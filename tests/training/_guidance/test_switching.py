from functools import cache

import pytest
import torch
from torch import Tensor

from beholder.errors import ConfigError
from beholder.training._guidance.switching import base_early
from beholder.training.pipeline import Driver, Lora
from tests.training._guidance.drivers import PROMPTS, driver, plain, small
from tests.training.tiny_pipelines import tiny


@cache
def tuned(name: str) -> Driver:
    """A pipeline whose adapters change it."""
    made = Driver(tiny(name))
    weights = made.add_lora(Lora(rank=2))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, weight in weights.named_parameters():
            weight.copy_(0.5 * torch.randn(weight.shape, generator=generator))
    return made


def switched(name: str, at: int) -> Tensor:
    return base_early(tuned(name), PROMPTS, small(name), switch_at=at, seeds=[0, 1]).pixels


@pytest.mark.parametrize("name", ["sd", "sd3"])
def test_never_switched_is_the_base_and_at_once_is_the_tuned_pipeline_to_the_bit(name: str) -> None:
    assert torch.equal(switched(name, 4), plain(name, [0, 1]))
    with torch.no_grad():
        whole = tuned(name).sample(PROMPTS, small(name), seeds=[0, 1]).pixels
    assert torch.equal(switched(name, 0), whole)
    assert not torch.allclose(whole, plain(name, [0, 1]), atol=1e-3)


def test_the_base_runs_up_to_the_step_and_the_adapters_from_there() -> None:
    one, sampling = tuned("sd3"), small("sd3")
    states: list[Tensor] = []
    with torch.no_grad(), one.reference():
        one.sample(
            PROMPTS, sampling, seeds=[0, 1], on_step=lambda step: states.append(step.following)
        )
    half = base_early(one, PROMPTS, sampling, switch_at=2, seeds=[0, 1])
    seen: list[Tensor] = []

    def begin_there(step: object) -> Tensor | None:
        seen.append(states[1])
        return states[1] if len(seen) == 2 else None

    with torch.no_grad():  # the tuned pipeline from the base's latents after two steps
        expected = one.sample(PROMPTS, sampling, seeds=[0, 1], on_step=begin_there).pixels
    assert torch.equal(half.pixels, expected)
    assert (half.steps_run, half.seeds) == (8, (0, 1))


def test_adapters_are_on_again_afterwards() -> None:
    before = switched("sd3", 0)
    switched("sd3", 4)
    assert torch.equal(switched("sd3", 0), before)


def test_a_pipeline_without_adapters_and_a_step_that_is_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="no adapters to switch; load some"):
        base_early(driver("sd"), PROMPTS, small("sd"), switch_at=1, seeds=[0, 1])
    with pytest.raises(ConfigError, match="switch_at must be at least 0 and at most 4"):
        base_early(tuned("sd"), PROMPTS, small("sd"), switch_at=5, seeds=[0, 1])
