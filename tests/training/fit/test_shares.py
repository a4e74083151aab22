import math

import pytest
import torch
from torch import nn

from beholder.training.fit.processes import Processes
from beholder.training.fit.shares import clip_gradients, full, is_sharded, like, share_gradients


class Two(Processes):
    """Two processes of which the other one says the same, and has used every weight."""

    def __init__(self) -> None:
        super().__init__(cpu=True)
        self.count = 2

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor + 1

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        return (tensor + 3) / 2


def test_gradients_are_cut_to_a_norm_over_all_weights() -> None:
    weights = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1)), nn.Parameter()]
    weights[0].grad, weights[1].grad = torch.tensor([2.0, 1.0]), torch.tensor([2.0])
    assert clip_gradients(weights, 1.5) == pytest.approx(3)
    assert weights[0].grad.tolist() == pytest.approx([1, 0.5], rel=1e-5)
    assert weights[1].grad.tolist() == pytest.approx([1], rel=1e-5)
    weights[1].grad = torch.tensor([math.inf])
    assert clip_gradients(weights, 1.5) == math.inf


@pytest.mark.parametrize("sharded", [[True, True], [True, False], [False, False]])
def test_gradients_of_shards_alone_are_cut_too(sharded: list[bool]) -> None:
    weights = [nn.Parameter(torch.zeros(1)) for _ in sharded]
    for weight, is_in_shards, grad in zip(weights, sharded, (3.0, 4.0), strict=True):
        weight.grad = torch.tensor([grad])
        if is_in_shards:
            weight.full_tensor = weight.clone  # type: ignore[attr-defined]
    assert clip_gradients(weights, 1.0) == pytest.approx(5)
    cut = [weight.grad.item() for weight in weights if weight.grad is not None]
    assert cut == pytest.approx([0.6, 0.8], rel=1e-5)


def test_a_gradient_is_the_mean_with_zeros_where_a_process_has_none() -> None:
    used, unused = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    used.grad = torch.tensor([1.0])
    share_gradients(Two(), [used, unused])
    assert used.grad.tolist() == [2.0]
    assert unused.grad is not None
    assert unused.grad.tolist() == [1.5]


def test_a_whole_tensor_is_its_own_share() -> None:
    value = torch.ones(2)
    assert not is_sharded(value)
    assert full(value) is value
    assert like(value, torch.zeros(2)) is value
