"""What every reward must do. Each reward's test calls it on a tiny model."""

import tempfile
from pathlib import Path

import pytest
import torch

import beholder
from beholder.errors import DataError
from beholder.rewards import Reward

PROMPTS = ["a cat", "a cat", "a red cube", ""]


def check_reward(reward: Reward) -> None:
    reward.eval()
    images = torch.rand(4, 3, 96, 80, generator=torch.Generator().manual_seed(0))
    check_batching(reward, images)
    check_gradient(reward, images)
    check_doors(reward, images)
    check_faults(reward, images)
    check_round_trip(reward, images)


def check_batching(reward: Reward, images: torch.Tensor) -> None:
    whole = reward.score(images, PROMPTS)
    assert whole.total.shape == (4,)
    assert tuple(whole.aspects) == reward.card.aspects
    one_by_one = [reward.score(images[k : k + 1], PROMPTS[k : k + 1]).total for k in range(4)]
    torch.testing.assert_close(torch.cat(one_by_one), whole.total, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        reward.score(images, PROMPTS, batch_size=3).total, whole.total, atol=1e-5, rtol=1e-5
    )
    backwards = reward.score(images.flip(0), PROMPTS[::-1]).total.flip(0)
    torch.testing.assert_close(backwards, whole.total, atol=1e-5, rtol=1e-5)
    low, high = reward.card.score_range
    assert ((whole.total >= low) & (whole.total <= high)).all()


def check_gradient(reward: Reward, images: torch.Tensor) -> None:
    leaf = images.clone().requires_grad_()
    total = reward(leaf, PROMPTS).total
    torch.testing.assert_close(
        total.detach(), reward.score(images, PROMPTS).total, atol=1e-5, rtol=1e-5
    )
    if reward.card.differentiable:
        total.sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.abs().sum() > 0
        assert leaf.grad.isfinite().all()


def check_doors(reward: Reward, images: torch.Tensor) -> None:
    bytes_ = (images * 255).round().to(torch.uint8)
    whole = reward.score(bytes_, PROMPTS).total
    arrays = list(bytes_.permute(0, 2, 3, 1).numpy())
    torch.testing.assert_close(reward.score(arrays, PROMPTS).total, whole)
    assert len(reward.score([], [])) == 0


def check_faults(reward: Reward, images: torch.Tensor) -> None:
    with pytest.raises(DataError, match="one each"):
        reward.score(images, PROMPTS[:3])
    with pytest.raises(DataError, match=r"\(b, 3, h, w\)"):
        reward(images[0], PROMPTS)
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        reward(images * 255, PROMPTS)
    mixed = reward.score([images[0], "/nowhere/missing.png", images[2]], PROMPTS[:3])
    assert list(mixed.errors) == [1]
    assert mixed.total[1].isnan()
    alone = reward.score([images[0], images[2]], [PROMPTS[0], PROMPTS[2]]).total
    torch.testing.assert_close(mixed.total[[0, 2]], alone, atol=1e-6, rtol=1e-6)
    with pytest.raises(DataError, match="picture 1"):
        reward.score([images[0], "/nowhere/missing.png"], PROMPTS[:2], strict=True)


def check_round_trip(reward: Reward, images: torch.Tensor) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reward.save_pretrained(folder)
        assert {p.name for p in Path(folder).iterdir()} >= {"config.json", "model.safetensors"}
        again = beholder.load(folder)
    assert type(again) is type(reward)
    assert torch.equal(again.score(images, PROMPTS).total, reward.score(images, PROMPTS).total)
