import math

import pytest
import torch
from torch import Tensor

from beholder.errors import ConfigError
from beholder.training.richhf_loss import (
    Pixelwise,
    RichHFLoss,
    correlation,
    correlation_loss,
    map_loss,
    score_loss,
    shows,
    told_mean,
    weighted_sum,
    word_loss,
)

LN3 = math.log(3)  # sigmoid(ln 3) = 3/4
ALL = torch.ones(1, 1, dtype=torch.bool)


def one_map(*values: float) -> Tensor:
    side = math.isqrt(len(values))
    return torch.tensor(values).reshape(1, 1, side, side)


def test_scores_are_compared_where_they_were_rated() -> None:
    logits = torch.tensor([[LN3, 0.0], [50.0, -LN3]])
    targets = torch.tensor([[0.25, 0.0], [0.0, 0.25]])
    told = torch.tensor([[True, False], [False, True]])
    assert score_loss(logits, targets, told).item() == pytest.approx(0.25 / 2)


def test_what_nobody_told_has_no_loss_and_no_gradient() -> None:
    logits = torch.randn(2, 4, requires_grad=True)
    loss = score_loss(logits, torch.zeros(2, 4), torch.zeros(2, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros(2, 4))


def test_the_published_map_loss_is_the_mean_square_over_pixels() -> None:
    logits = one_map(LN3, 0.0, 0.0, -LN3)
    targets = one_map(1.0, 0.5, 0.0, 0.25)
    assert map_loss(logits, targets, ALL).item() == pytest.approx((1 / 16 + 0 + 1 / 4 + 0) / 4)


def test_a_marked_pixel_counts_as_often_as_told() -> None:
    logits = one_map(LN3, 0.0, 0.0, -LN3)
    targets = one_map(1.0, 0.5, 0.0, 0.25)
    loss = map_loss(logits, targets, ALL, marked=3.0)
    assert loss.item() == pytest.approx((3 / 16 + 0 + 1 / 4 + 0) / 4)


def test_the_divergence_of_maps_by_hand() -> None:
    loss = map_loss(one_map(LN3, LN3, 0.0, 0.0), one_map(1.0, 0.0, 0.5, 1.0), ALL, "kl")
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(4) + 0 + math.log(2)) / 4)


@pytest.mark.parametrize("pixels", ["mse", "kl"])
def test_a_right_map_has_no_loss_and_a_missing_one_does_not_count(pixels: Pixelwise) -> None:
    targets = torch.rand(2, 2, 3, 3) * 0.8 + 0.1
    logits = targets.logit()
    assert map_loss(logits, targets, torch.ones(2, 2, dtype=torch.bool), pixels) < 1e-6
    logits[1, 0] = 7.0
    told = torch.tensor([[True, True], [False, True]])
    assert map_loss(logits, targets, told, pixels) < 1e-6


def test_a_sure_error_moves_the_divergence_but_hardly_the_square() -> None:
    moved = {}
    for pixels in ("mse", "kl"):
        logits = one_map(-12.0).requires_grad_()
        map_loss(logits, one_map(1.0), ALL, pixels).backward()
        assert logits.grad is not None
        moved[pixels] = abs(logits.grad.item())
    assert moved["kl"] == pytest.approx(1, abs=1e-4)
    assert moved["mse"] < 1e-4


def test_correlation_is_pearsons_and_0_for_constants() -> None:
    drawn, targets = torch.rand(3, 4, 5), torch.rand(3, 4, 5)
    expected = [
        torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]
        for a, b in zip(drawn, targets, strict=True)
    ]
    torch.testing.assert_close(correlation(drawn, targets), torch.stack(expected))
    torch.testing.assert_close(correlation(drawn, 3 * drawn + 1), torch.ones(3))
    assert torch.equal(correlation(drawn, torch.zeros(3, 4, 5)), torch.zeros(3))


def test_empty_maps_have_no_correlation_loss() -> None:
    targets = torch.zeros(2, 1, 2, 2)
    targets[0, 0, 0, 0] = 1.0
    logits = torch.where(targets > 0, 3.0, -3.0)
    logits[1] = torch.randn(1, 2, 2)
    assert shows(targets).tolist() == [[True], [False]]
    told = torch.ones(2, 1, dtype=torch.bool)
    assert correlation_loss(logits, targets, told).item() == pytest.approx(0, abs=1e-6)
    assert correlation_loss(-logits, targets, told).item() == pytest.approx(2, abs=1e-6)
    assert correlation_loss(-logits, targets, ~told).item() == 0


def test_words_by_hand() -> None:
    logits = [torch.tensor([LN3]), torch.tensor([LN3, 0.0])]
    shares = [torch.tensor([1.0]), torch.tensor([0.0, 0.5])]
    right, wrong, half = math.log(4 / 3), math.log(4), math.log(2)
    assert word_loss(logits, shares).item() == pytest.approx((right + wrong + half) / 3)
    twice = word_loss(logits, shares, misaligned=2.0).item()
    assert twice == pytest.approx((2 * right + wrong + 1.5 * half) / 3)
    assert word_loss([torch.zeros(0)], [torch.zeros(0)]).item() == 0


def test_the_parts_are_summed_by_weight() -> None:
    parts = {"score": torch.tensor(2.0), "map": torch.tensor(10.0)}
    assert weighted_sum(parts, RichHFLoss(score=0.5, map=0.1)).item() == pytest.approx(2)


def test_the_mean_is_over_what_was_told() -> None:
    values = torch.tensor([1.0, 100.0, 3.0])
    assert told_mean(values, torch.tensor([True, False, True])).item() == 2
    assert told_mean(values, torch.zeros(3, dtype=torch.bool)).item() == 0


def test_weights_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="map must be at least 0, got -1"):
        RichHFLoss(map=-1)
    with pytest.raises(ConfigError, match="marked_pixels must be above 0"):
        RichHFLoss(marked_pixels=0)
