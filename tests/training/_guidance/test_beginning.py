import pytest
import torch
from torch import Tensor

from beholder.training._guidance.beginning import begun
from beholder.training.pipeline import Step
from tests.training._guidance.drivers import PROMPTS, driver, plain, small


@pytest.mark.parametrize("name", ["sd", "flux"])
def test_the_run_begins_with_what_was_made_of_the_drawn_latents(name: str) -> None:
    drawn: list[Tensor] = []
    began: list[Tensor] = []

    def halve(latents: Tensor) -> Tensor:
        drawn.append(latents)
        return latents / 2

    def note(step: Step) -> None:
        began.append(step.sample)

    one = driver(name)
    with begun(one.pipe, halve), torch.no_grad():
        one.sample(PROMPTS, small(name), seeds=[0, 1], on_step=note)
    assert torch.equal(began[0], drawn[0] / 2)


def test_only_the_next_run_is_changed() -> None:
    one = driver("sd")
    with begun(one.pipe, torch.zeros_like), torch.no_grad():
        changed = one.sample(PROMPTS, small("sd"), seeds=[0, 1]).pixels
        following = one.sample(PROMPTS, small("sd"), seeds=[0, 1]).pixels
    assert torch.equal(following, plain("sd", [0, 1]))
    assert not torch.allclose(changed, following, atol=1e-3)
