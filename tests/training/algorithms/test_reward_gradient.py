"""What ReFL and DRaFT share, shown on ReFL."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from beholder.training._tuning.pretraining import Denoising, Pretraining
from beholder.training._tuning.signal import Signal
from beholder.training._tuning.start import Start
from beholder.training.algorithms._base import PromptBatch, Studio
from beholder.training.algorithms.refl import Refl, ReflConfig
from beholder.training.pipeline import Driver, Lora
from beholder.types import Scores
from tests.training.toy import PROMPTS, SAMPLING, Redness, toy_latents, untrained

LEVELS = tuple(1 - k * 0.999 / 7 for k in range(8))
BATCH = PromptBatch(0, PROMPTS[:3], (11, 12, 13))


class Broken(Redness):
    """No number, and no gradient that is one, for the pictures of one prompt."""

    @override
    def score_prepared(
        self, pixel_values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]
    ) -> Scores:
        total = super().score_prepared(pixel_values, prompts).total
        broken = torch.tensor([prompt == PROMPTS[1] for prompt in prompts])
        return Scores(total * torch.where(broken, torch.nan, 1.0))


def studio(reward: Redness | None = None, denoising: bool = False) -> Studio:
    """An untrained toy whose adapters do something."""
    driver = Driver(untrained())
    kept = None
    if denoising:
        latents = toy_latents(4, torch.Generator().manual_seed(0))
        kept = Denoising(driver, SAMPLING, latents, PROMPTS[:4], held_out=1)
    trained = driver.add_lora(Lora(rank=2))
    generator = torch.Generator().manual_seed(1)
    for weight in trained.parameters():
        torch.nn.init.normal_(weight, std=0.2, generator=generator)
    start = Start(mean=0.5, std=0.1, levels=LEVELS)
    return Studio(driver, trained, Signal(reward or Redness()), PROMPTS, start, kept)


def config(**options: Any) -> ReflConfig:
    return ReflConfig(sampling=SAMPLING, margin=100.0, **options)


def gradients(studio: Studio, loss: Tensor) -> Tensor:
    weights = list(studio.trained.parameters())
    grads = torch.autograd.grad(loss, weights, allow_unused=True, retain_graph=True)
    return torch.cat([g.flatten() for g in grads if g is not None])


def test_the_loss_is_one_sum_of_its_terms() -> None:
    made = studio(denoising=True)
    options = config(kl=0.5, pretraining=Pretraining(weight=0.25, batch=2))
    loss, logs = Refl(made, options).step(BATCH)
    terms = logs["refl/loss"] + 0.5 * logs["kl/outputs"] + 0.25 * logs["pretraining/loss"]
    assert loss.item() == pytest.approx(float(terms), rel=1e-5)
    assert float(logs["kl/outputs"]) > 0


def test_what_has_no_weight_is_not_computed() -> None:
    _, logs = Refl(studio(), config()).step(BATCH)
    assert not {"kl/outputs", "pretraining/loss"} & set(logs)


def test_a_picture_without_a_score_changes_nothing_for_the_others() -> None:
    torch.manual_seed(3)
    loss, logs = Refl(made := studio(Broken()), config()).step(BATCH)
    found = gradients(made, loss)
    assert logs["reward/failed"] == 1
    torch.manual_seed(3)
    others = PromptBatch(0, (PROMPTS[0], PROMPTS[2]), (11, 13))
    expected = gradients(other := studio(), Refl(other, config()).step(others)[0])
    assert float(expected.abs().max()) > 0
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_the_same_random_state_gives_the_same_loss() -> None:
    algorithm = Refl(studio(denoising=True), config(pretraining=Pretraining(weight=1.0)))
    found = []
    for _ in range(2):
        torch.manual_seed(5)
        found.append(algorithm.step(BATCH)[0].item())
    assert found[0] == found[1]
