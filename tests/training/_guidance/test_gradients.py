import pytest
import torch

from beholder.errors import ConfigError
from beholder.training._guidance.gradients import (
    per_picture_norm,
    require_gradient,
    score_gradient,
    wide,
)
from beholder.training._tuning.signal import Signal
from tests.training.toy import Redness, SteppedRedness


def test_the_gradient_of_a_score_is_its_derivative_picture_by_picture() -> None:
    latents = torch.rand(2, 3, 2, 2, requires_grad=True)
    factors = torch.tensor([2.0, 5.0])
    scores = (latents.mean((1, 2, 3)) * factors) + 1
    gradient = score_gradient(scores, latents, latents)
    assert torch.allclose(gradient, (factors / 12).reshape(2, 1, 1, 1).expand(2, 3, 2, 2))


def test_half_precision_holds_gradients_that_it_could_not_without_the_weight() -> None:
    side = 128
    latents = torch.rand(1, 3, side, side, dtype=torch.float16, requires_grad=True)
    pixels = latents * 1
    scores = 1e-2 * pixels.float().mean((1, 2, 3))
    expected = 1e-2 / (3 * side * side)
    assert expected < torch.finfo(torch.float16).tiny / 100
    assert torch.allclose(
        score_gradient(scores, pixels, latents), torch.tensor(expected), rtol=1e-2, atol=0
    )


def test_a_picture_without_a_score_has_no_gradient_and_does_not_spoil_its_neighbours() -> None:
    latents = torch.tensor([[[[1.0]]], [[[-1.0]]], [[[0.0]]]], requires_grad=True)
    scores = latents.sqrt().sum((1, 2, 3))  # 1/2, unknown, infinitely steep
    gradient = score_gradient(scores, latents.expand(3, 3, 1, 1), latents)
    assert gradient.flatten().tolist() == [0.5, 0.0, 0.0]


def test_norms_are_taken_over_all_axes_but_the_first() -> None:
    values = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 1.0]]])
    assert per_picture_norm(values).tolist() == [5.0, 1.0]
    assert wide(torch.tensor([1.0, 2.0]), values).shape == (2, 1, 1)


def test_a_reward_without_gradient_is_refused() -> None:
    require_gradient(Signal(Redness()))
    with pytest.raises(ConfigError, match="stepped_redness gives no gradient; choose pictures"):
        require_gradient(Signal(SteppedRedness()))
