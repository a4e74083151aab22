import math

import pytest
import torch

from beholder.errors import DataError
from beholder.training.tuning_losses import (
    draft_loss,
    finite,
    output_distance,
    refl_loss,
    saturated,
)


def test_refl_pulls_scores_up_to_the_target_and_no_further() -> None:
    scores = torch.tensor([0.0, 1.0, 2.0, 5.0], requires_grad=True)
    loss = refl_loss(scores, target=2.0)
    assert loss.item() == pytest.approx((2 + 1 + 0 + 0) / 4)
    loss.backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == [-0.25, -0.25, 0, 0]


def test_losses_do_not_depend_on_the_scale_of_the_reward() -> None:
    scores = torch.tensor([0.2, 0.5, 0.9])
    assert refl_loss(scores, 0.8, 0.1) == pytest.approx(float(refl_loss(100 * scores, 80, 10)))
    one, other = draft_loss(scores, 0.4, 0.1), draft_loss(100 * scores, 40, 10)
    assert one == pytest.approx(float(other))


def test_draft_is_the_gain_in_standard_deviations_below_zero() -> None:
    assert draft_loss(torch.tensor([1.0, 4.0]), mean=0.5, scale=2.0).item() == pytest.approx(-1.0)


def test_a_score_that_failed_has_no_part_in_loss_or_gradient() -> None:
    scores = torch.tensor([1.0, math.nan, math.inf], requires_grad=True)
    for loss in (refl_loss(scores, 3.0), draft_loss(scores, 3.0)):
        assert loss.item() == 2
        (grad,) = torch.autograd.grad(loss, scores)
        assert grad.tolist() == [-1, 0, 0]


def test_without_any_score_there_is_no_loss() -> None:
    with pytest.raises(DataError, match="none of 2 scores is finite"):
        finite(torch.full((2,), math.nan))


def test_a_score_at_the_target_is_saturated() -> None:
    assert saturated(torch.tensor([1.0, 2.0, 3.0, math.nan]), 2.0).item() == pytest.approx(2 / 3)


def test_output_distance_is_the_mean_squared_difference_in_float32() -> None:
    output = torch.tensor([1.0, 3.0], dtype=torch.bfloat16)
    found = output_distance(output, torch.tensor([0.0, 1.0]))
    assert found.dtype == torch.float32
    assert found.item() == 2.5
