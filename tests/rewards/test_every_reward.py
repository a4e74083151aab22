"""What holds of all rewards together; each one's own test has its contract."""

from importlib import import_module

import pytest
import torch

import beholder
from beholder.rewards import Reward, load, reward_class
from tests.rewards.contract import seeded

PROMPTS = ["a red cube", "a cat", "", "a cat"]


def tiny(name: str) -> Reward:
    reward: Reward = import_module(f"tests.rewards.tinies.{name}").tiny()
    return reward.eval()


@pytest.mark.parametrize("name", beholder.names())
def test_an_ensemble_holds_it(name: str) -> None:
    inner = tiny(name)
    ensemble = load("ensemble", rewards={"one": inner, "two": "tiny"}, scales="none")
    pictures = noise()
    alone = inner.score(pictures, PROMPTS).total + load("tiny").score(pictures, PROMPTS).total
    torch.testing.assert_close(
        ensemble.score(pictures, PROMPTS, batch_size=3).total, alone, atol=1e-4, rtol=1e-4
    )
    assert ensemble.card.differentiable == inner.card.differentiable
    if inner.card.differentiable:
        assert slope(ensemble, pictures).abs().sum() > 0


@pytest.mark.parametrize("name", ["imagereward", "brisque"])
def test_half_precision_inside_an_ensemble_is_that_outside(name: str) -> None:
    inside, outside = tiny(name), tiny(name)
    ensemble = load("ensemble", rewards={"one": inside, "two": "tiny"}, scales="none")
    ensemble.cast(torch.bfloat16)
    outside.cast(torch.bfloat16)
    expected = {key: value.dtype for key, value in outside.state_dict().items()}
    assert {key: value.dtype for key, value in inside.state_dict().items()} == expected
    assert torch.float32 in expected.values()


@pytest.mark.parametrize("name", ["brisque", "niqe"])
def test_large_pictures_go_a_few_at_a_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moments in float64 take a hundred times the memory of a picture."""
    reward, pictures = tiny(name), noise()
    pictures[1] = 128  # an error, which must stay in its row
    whole = reward.score(pictures, PROMPTS)
    monkeypatch.setattr("beholder.rewards._scene_statistics._PORTION", 2 * 96 * 80)
    parts = reward.score(pictures, PROMPTS)
    torch.testing.assert_close(parts.total, whole.total, equal_nan=True)
    assert parts.errors == whole.errors
    assert list(parts.errors) == [1]


DIFFERENTIABLE = [n for n in beholder.names() if reward_class(n).card.differentiable]


@pytest.mark.parametrize("name", [n for n in DIFFERENTIABLE if n != "smoothed"])
def test_it_can_be_smoothed(name: str) -> None:
    inner = tiny(name)
    smoothed = load("smoothed", reward=inner, rho=0.02)
    pictures = noise()
    scores = smoothed.score(pictures, PROMPTS)
    assert scores.total.isfinite().all()
    assert scores.aspects["sharpness"].isfinite().all()
    above_floor = (scores.total > inner.card.score_range[0]).any()  # CLIPScore is flat at 0
    assert (slope(smoothed, pictures).abs().sum() > 0) == above_floor


def noise() -> torch.Tensor:
    return (torch.rand(4, 3, 96, 80, generator=seeded()) * 255).round().to(torch.uint8)


def slope(reward: Reward, pictures: torch.Tensor) -> torch.Tensor:
    leaf = (pictures / 255).requires_grad_()
    (gradient,) = torch.autograd.grad(reward(leaf, PROMPTS).total.sum(), leaf)
    assert gradient.isfinite().all()
    return gradient
