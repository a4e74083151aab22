from typing import Any

import pytest
import torch
from torch import Tensor, nn

from beholder.errors import BeholderError
from beholder.training._tuning.kl import _tensors, mean_distance, output_kl
from beholder.training.pipeline import Driver, Lora
from tests.training.tiny_pipelines import tiny, tiny_sampling

PROMPTS = ["a fox", "a cat"]


def tuned(name: str, spread: float) -> Driver:
    """A driver with adapters that change what the denoiser gives, unless spread is 0."""
    driver = Driver(tiny(name))
    generator = torch.Generator().manual_seed(0)
    for name_, weight in driver.add_lora(Lora(rank=2)).named_parameters():
        if spread > 0 or "lora_B" in name_:
            nn.init.normal_(weight, std=spread, generator=generator)
    return driver


def distances(driver: Driver, name: str, grad_from: int = 3) -> list[Tensor]:
    with output_kl(driver) as found:
        driver.sample(PROMPTS, tiny_sampling(name), seeds=[1, 2], grad_from=grad_from)
    return found


def gradients(driver: Driver, loss: Tensor) -> list[Tensor]:
    weights = [w for w in driver.denoiser.parameters() if w.requires_grad]
    return list(torch.autograd.grad(loss, weights))


@pytest.mark.parametrize("name", ["sd", "sd3", "zimage"])
def test_the_distance_is_zero_before_tuning_and_more_after(name: str) -> None:
    assert [d.item() for d in distances(tuned(name, 0), name)] == [0.0]
    assert mean_distance(distances(tuned(name, 0.3), name)).item() > 1e-6


def test_only_passes_with_gradients_are_compared() -> None:
    driver = tuned("sd3", 0.3)
    assert len(distances(driver, "sd3", grad_from=2)) == 2
    with output_kl(driver) as found:
        driver.sample(PROMPTS, tiny_sampling("sd3"), seeds=[1, 2])
    assert found == []
    with pytest.raises(BeholderError, match="not run with gradients"):
        mean_distance(found)


def test_the_distance_is_that_to_a_pass_without_adapters() -> None:
    driver = tuned("sd3", 0.3)
    x_t = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    ask: Any = (x_t, torch.tensor([300.0, 700.0]), PROMPTS, tiny_sampling("sd3"))
    with output_kl(driver) as found:
        output = driver.predict(*ask)
    with torch.no_grad(), driver.reference():
        base = driver.predict(*ask)
    assert found[0].item() == pytest.approx((output - base).square().mean().item(), rel=1e-6)


def test_gradients_are_the_same_with_gradient_checkpointing() -> None:
    driver = tuned("sd3", 0.3)
    plain = gradients(driver, mean_distance(distances(driver, "sd3", grad_from=2)))
    driver.denoiser.enable_gradient_checkpointing()
    spared = gradients(driver, mean_distance(distances(driver, "sd3", grad_from=2)))
    assert max(float(g.abs().max()) for g in plain) > 0
    assert all(torch.equal(one, other) for one, other in zip(plain, spared, strict=True))


def test_nothing_is_compared_afterwards() -> None:
    driver = tuned("sd3", 0.3)
    found = distances(driver, "sd3")
    driver.sample(PROMPTS, tiny_sampling("sd3"), seeds=[1, 2], grad_from=3)
    assert len(found) == 1


def test_outputs_of_every_kind_are_taken_apart() -> None:
    one, two, three = torch.ones(1), torch.ones(2), torch.ones(3)
    output = ([one, two], {"sample": three, "count": 3}, None)
    assert [len(tensor) for tensor in _tensors(output)] == [1, 2, 3]
