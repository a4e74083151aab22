"""What every reward must do. Each reward's test calls it on a tiny model."""

import copy
import tempfile
from pathlib import Path

import pytest
import torch

import beholder
from beholder.errors import DataError
from beholder.rewards import Reward
from beholder.types import Scores

PROMPTS = ["a cat", "a cat", "a red cube", ""]


def check_reward(reward: Reward, *, slopes: bool = True) -> None:
    """`slopes=False` where prepared values are pixels still: their rounding has no slope."""
    reward.eval()
    images = torch.rand(4, 3, 96, 80, generator=torch.Generator().manual_seed(0))
    check_batching(reward, images)
    check_gradient(reward, images)
    check_doors(reward, images)
    check_faults(reward, images)
    check_round_trip(reward, images)
    check_duplicates(reward, images)
    if slopes:
        check_slopes(reward, images)
    check_precision(reward)


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
    assert len(reward(images[:0], [])) == 0


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


def check_duplicates(reward: Reward, images: torch.Tensor) -> None:
    """A picture that stands in several rows scores there as it does alone."""
    rows = [images[0], images[1], images[0], images[0]]
    repeated = reward.score(rows, PROMPTS).total
    torch.testing.assert_close(
        repeated, reward.score(torch.stack(rows), PROMPTS).total, atol=1e-5, rtol=1e-5
    )


def check_slopes(reward: Reward, images: torch.Tensor) -> None:
    """The gradient of prepared values is that of finite differences, in float64 where it can be."""
    if not reward.card.differentiable:
        return
    exact = copy.deepcopy(reward).double()
    values = reward.preprocess(images[:2]).double().requires_grad_()
    way = torch.randn(values.shape, dtype=torch.float64, generator=seeded())

    def total(at: torch.Tensor) -> torch.Tensor:
        return exact.score_prepared(at, PROMPTS[1:3]).total.double().sum()

    def slope(step: float) -> float:
        return (total(values + step * way) - total(values - step * way)).item() / (2 * step)

    (gradient,) = torch.autograd.grad(total(values), values)
    along = (gradient * way).sum().item()
    # some models compute parts in float32 whatever they are cast to: a small step drowns in it
    assert any(slope(step) == pytest.approx(along, rel=3e-2) for step in (1e-5, 1e-4, 1e-3))


def check_precision(reward: Reward) -> None:
    """What the card says about float pixels and half precision holds for this tiny model."""
    for name, error in measured_errors(reward).items():
        limit = getattr(reward.card, name)
        assert limit is None or error <= limit, f"{name}: {error:.2g} is above the card's {limit}"


def measured_errors(reward: Reward) -> dict[str, float]:
    """`float_error`, `bf16_error`, `fp16_error` of a reward, as its card has them."""
    pictures, prompts = smooth_pictures(), [f"{k} red cats" for k in range(12)]
    exact = reward.score(pictures, prompts).total
    spread = exact.std().item()

    def error(scores: Scores) -> float:
        return (scores.total.detach().float() - exact).abs().max().item() / spread

    with torch.no_grad():
        found = {"float_error": error(reward(pictures / 255, prompts))}
    for name, dtype in (("bf16_error", torch.bfloat16), ("fp16_error", torch.float16)):
        if getattr(reward.card, name) is not None:
            found[name] = error(copy.deepcopy(reward).cast(dtype).score(pictures, prompts))
    return found


def smooth_pictures(count: int = 12, height: int = 96, width: int = 80) -> torch.Tensor:
    """8-bit pictures of a few coloured waves and some noise."""
    rows = torch.linspace(0, 6, height)[:, None]
    columns = torch.linspace(0, 6, width)[None]
    phases = torch.rand(count, 3, 4, 1, 1, generator=seeded()) * 6
    waves = (rows * phases[:, :, 0] / 3 + phases[:, :, 1]).sin()
    waves = waves * (columns * phases[:, :, 2] / 3 + phases[:, :, 3]).cos()
    noise = torch.randn(count, 3, height, width, generator=seeded())
    return ((0.5 + 0.4 * waves + 0.03 * noise).clamp(0, 1) * 255).round().to(torch.uint8)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
