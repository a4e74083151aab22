import copy
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

import beholder
from beholder.rewards import Reward
from beholder.training.checkpointing import (
    checkpoint_blocks,
    checkpoint_towers,
    plain_blocks,
)
from beholder.training.freezing import LowRank, freeze, merge_lora
from beholder.training.learner import learning_mode
from tests.rewards._blip.small import SIZES
from tests.rewards.tinies import hps, imagereward, pickscore
from tests.training.test_freezing import KINDS, mps

REWARDS: dict[str, Callable[[], Reward]] = {
    **{kind: (lambda kind=kind: mps(kind)) for kind in KINDS},  # type: ignore[misc]
    "pickscore": pickscore.tiny,
    "hps": hps.tiny,
    "imagereward": imagereward.tiny,
    "richhf": lambda: beholder.load("richhf", size="tiny"),
}


def reward_of(kind: str, train: str) -> Reward:
    torch.manual_seed(0)
    reward = REWARDS[kind]()
    freeze(reward, cast("Any", train), last_blocks=1, fix_rate=0.5, lora=LowRank(rank=2))
    return reward


def learned(reward: Reward) -> tuple[Tensor, dict[str, Tensor]]:
    """A loss with all its gradients, as one step in train mode gives them."""
    torch.manual_seed(1)
    learning_mode(reward)
    reward.zero_grad()
    pixels = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    loss = reward(pixels, ["a red cube", "the cat"]).total.sum()
    loss.backward()
    grads = {n: w.grad for n, w in reward.named_parameters() if w.grad is not None}
    return loss.detach(), grads


@pytest.mark.parametrize("train", ["all", "lora", "last_blocks", "fix_rate"])
@pytest.mark.parametrize("kind", REWARDS)
def test_loss_and_gradients_stay_the_same_to_the_bit(kind: str, train: str) -> None:
    reward = reward_of(kind, train)
    loss, grads = learned(reward)
    checkpoint_towers(reward)
    again, regained = learned(reward)
    assert torch.equal(again, loss)
    assert regained.keys() == grads.keys()
    for name, grad in grads.items():
        assert torch.equal(regained[name], grad), name
    assert any(grad.abs().sum() > 0 for grad in grads.values())


def test_blocks_keep_their_input_alone_for_the_backward_pass() -> None:
    """Of 8 + 8 blocks the last two and 14 inputs stay: less than a third of it all."""
    sizes = {part: {**SIZES[part], "num_hidden_layers": 8} for part in ("vision", "text")}
    reward = imagereward.tiny(config={**imagereward.CONFIG, **sizes})
    before = kept(reward)
    checkpoint_towers(reward)
    assert kept(reward) < before / 3
    plain_blocks(reward)
    assert kept(reward) == before


def kept(reward: Reward) -> int:
    """Numbers in all tensors that the graph keeps for the backward pass."""
    sizes = []

    def pack(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        reward(torch.rand(4, 3, 40, 40), ["a", "b", "c", "d"])
    return sum(sizes)


class Block(nn.Module):
    """A linear layer with dropout that counts how often it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.dropout, self.runs = nn.Linear(8, 8), nn.Dropout(0.5), 0

    def forward(self, states: Tensor, *, scale: float = 1.0) -> tuple[Tensor, float]:
        self.runs += 1
        return self.dropout(self.linear(states).relu()) * scale, scale


def test_dropout_falls_alike_in_the_second_run() -> None:
    block, states = Block(), torch.rand(5, 8)
    gradients = []
    for _ in range(2):
        torch.manual_seed(3)
        block.zero_grad()
        block(states, scale=2.0)[0].sum().backward()
        gradients.append(copy.deepcopy(block.linear.weight.grad))
        checkpoint_blocks([block])
    first, second = gradients
    assert first is not None
    assert second is not None
    assert torch.equal(first, second)
    assert block.runs == 1 + 2


def test_without_gradient_a_block_runs_once() -> None:
    block = Block()
    checkpoint_blocks([block])
    checkpoint_blocks([block])
    with torch.no_grad():
        block(torch.rand(2, 8))
    assert block.runs == 1


def test_a_copy_runs_its_own_weights() -> None:
    block = Block().eval()
    checkpoint_blocks([block])
    other = copy.deepcopy(block)
    with torch.no_grad():
        other.linear.weight.zero_()
        other.linear.bias.fill_(1)
    states, _ = other(torch.rand(2, 8, requires_grad=True))
    assert torch.equal(states, torch.ones(2, 8))
    states.sum().backward()
    assert other.linear.bias.grad is not None
    assert block.linear.bias.grad is None
    assert block.runs == 0


def test_names_stay_and_undoing_leaves_nothing_behind() -> None:
    reward = reward_of("clip", "lora")
    names = list(reward.state_dict())
    checkpoint_towers(reward)
    assert list(reward.state_dict()) == names
    plain_blocks(reward)
    merge_lora(reward)
    assert list(reward.state_dict()) == list(mps("clip").state_dict())
    assert not any("forward" in vars(module) for module in reward.modules())
