import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

import beholder
from beholder.rewards import Reward
from beholder.training.fit.learner import learning_mode
from beholder.training.towers.checkpointing import (
    checkpoint_blocks,
    checkpoint_towers,
    plain_blocks,
)
from beholder.training.towers.freezing import LowRank, freeze, merge_lora
from tests.rewards._blip.small import SIZES
from tests.rewards.tinies import hps, imagereward, pickscore
from tests.training.towers.test_freezing import KINDS, mps

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
    before = learned(reward)
    checkpoint_towers(reward)
    same(learned(reward), before)


def same(
    found: tuple[Tensor, dict[str, Tensor]], expected: tuple[Tensor, dict[str, Tensor]]
) -> None:
    (loss, grads), (expected_loss, expected_grads) = found, expected
    assert torch.equal(loss, expected_loss)
    assert grads.keys() == expected_grads.keys()
    for name, grad in expected_grads.items():
        assert torch.equal(grads[name], grad), name
    assert any(grad.abs().sum() > 0 for grad in grads.values())


def test_bf16_loss_and_gradients_stay_the_same_to_the_bit() -> None:
    """Autocast rounds a weight once a pass, though prompts and conditions go by it, and again."""
    reward = reward_of("clip", "all")
    found = []
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            found.append(learned(reward))
        checkpoint_towers(reward)
    same(found[1], found[0])


def test_eight_blocks_hold_less_than_two_thirds() -> None:
    """Of 8 + 8 blocks the last two stay; the others hold their input and the dearest products."""
    sizes = {part: {**SIZES[part], "num_hidden_layers": 8} for part in ("vision", "text")}
    reward = imagereward.tiny(config={**imagereward.CONFIG, **sizes})
    pixels, texts = torch.rand(4, 3, 40, 40), ["a", "b", "c", "d"]

    def held_now() -> int:
        return held(lambda: reward(pixels, texts))

    held_now()  # fills caches
    before = held_now()
    checkpoint_towers(reward)
    assert held_now() < before * 2 / 3
    plain_blocks(reward)
    assert held_now() == before


def held(run: Callable[[], object]) -> int:
    """Bytes that were allocated and are still in use while the result of `run` is."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        result = run()
    total: int = sum(event.self_cpu_memory_usage for event in seen.key_averages())
    del result
    return total


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


WIDTH, TOKENS = 128, 6


class Wide(nn.Module):
    """As the second half of a transformer's block: states + narrow(gelu(wide(norm(square))))."""

    def __init__(self) -> None:
        super().__init__()
        self.square = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, states: Tensor) -> Tensor:
        out: Tensor = states + self.narrow(
            functional.gelu(self.wide(self.norm(self.square(states))))
        )
        return out


class PostNorm(Wide):
    """With the norm at the end, which needs the last product again."""

    def forward(self, states: Tensor) -> Tensor:
        out: Tensor = self.norm(
            states + self.narrow(functional.gelu(self.wide(self.square(states))))
        )
        return out


class LowRankSum(Wide):
    """An update of rank 2 beside a frozen wide layer."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(WIDTH, 2), nn.Linear(2, 4 * WIDTH)
        self.wide.requires_grad_(requires_grad=False)

    def forward(self, states: Tensor) -> Tensor:
        wide = self.wide(states) + self.up(self.down(states))
        out: Tensor = states + self.narrow(functional.gelu(wide))
        return out


class InPlace(Wide):
    """Writes into its product."""

    def forward(self, states: Tensor) -> Tensor:
        out: Tensor = states + self.narrow(self.wide(states).relu_())
        return out


class Convolutions(Wide):
    """States as a map of one row, two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(WIDTH, 512, 1), nn.Conv2d(512, WIDTH, 1)

    def forward(self, states: Tensor) -> Tensor:
        maps = states.mT[None, :, None]
        out: Tensor = (maps + self.second(functional.gelu(self.first(maps))))[0, :, 0].mT
        return out


BLOCKS = (Wide, PostNorm, LowRankSum, InPlace, Convolutions)


@pytest.mark.parametrize(
    ("kind", "plain", "numbers"),
    [
        # Plain: square, norm with its mean and deviation, wide, gelu; checkpointed: wide. The sum
        # comes out of both.
        (Wide, (1 + 1 + 4 + 4 + 1) * WIDTH + 2, (4 + 1) * WIDTH),
        # Plain: square, wide, gelu, sum, norm's output, mean and deviation; checkpointed: wide,
        # narrow, output.
        (PostNorm, (1 + 4 + 4 + 1 + 1) * WIDTH + 2, (4 + 1 + 1) * WIDTH),
        # Plain: two numbers of the update, sum, gelu; checkpointed: wide.
        (LowRankSum, (4 + 4 + 1) * WIDTH + 2, (4 + 1) * WIDTH),
        # A product that was written into is not kept.
        (InPlace, (4 + 1) * WIDTH, 1 * WIDTH),
    ],
)
def test_a_block_holds_its_input_and_its_dearest_products(
    kind: type[Wide], plain: int, numbers: int
) -> None:
    torch.manual_seed(0)
    block, states = kind(), torch.rand(TOKENS, WIDTH, requires_grad=True)
    assert held(lambda: block(states)) == 4 * TOKENS * plain
    checkpoint_blocks([block])
    random_state = torch.get_rng_state().nbytes
    assert held(lambda: block(states)) == 4 * TOKENS * numbers + random_state


class Products(TorchDispatchMode):
    """Counts products of matrices."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.count += func.overloadpacket in {torch.ops.aten.mm, torch.ops.aten.addmm}
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("kind", "anew"), [(Wide, 1), (PostNorm, 1), (LowRankSum, 2)])
def test_products_of_a_third_of_the_operations_are_made_anew(kind: type[Wide], anew: int) -> None:
    """Of the first two the square one, a ninth of all; the wide ones, 4 of 9 each, are too much."""
    block, states = kind(), torch.rand(TOKENS, WIDTH, requires_grad=True)
    counts = []
    for _ in range(2):
        loss = block(states).sum()
        with Products() as products:
            loss.backward()
        counts.append(products.count)
        checkpoint_blocks([block])
    assert counts[1] - counts[0] == anew


@pytest.mark.parametrize("kind", BLOCKS)
def test_what_was_kept_gives_the_same_gradients_also_when_asked_twice(kind: type[Wide]) -> None:
    torch.manual_seed(0)
    block, states = kind(), torch.rand(TOKENS, WIDTH, requires_grad=True)
    weights = [states, *(weight for weight in block.parameters() if weight.requires_grad)]
    found = []
    for _ in range(2):
        loss = block(states).square().sum()
        twice = [
            torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
            for _ in range(2)
        ]
        found += twice
        checkpoint_blocks([block])
    for grads in found[1:]:
        for grad, expected in zip(grads, found[0], strict=True):
            assert (grad is None) == (expected is None)
            assert grad is None or torch.equal(grad, expected)


def test_the_layers_of_the_cross_model_count_as_blocks() -> None:
    reward = mps("clip")
    checkpoint_towers(reward)
    chosen = [name for name, module in reward.named_modules() if "forward" in vars(module)]
    layers = len(reward.cross_model.layers)
    assert [name for name in chosen if name.startswith("cross_model")] == [
        f"cross_model.layers.{k}.{part}" for k in range(layers) for part in (0, 1)
    ][:-1]
    assert len(chosen) > 2 * layers - 1


def test_batch_norm_sees_a_batch_once() -> None:
    block = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))
    checkpoint_blocks([block])
    block(torch.rand(4, 8)).sum().backward()
    assert cast("Any", block[1]).num_batches_tracked == 1


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_a_block_in_shards_gives_the_same_gradients() -> None:
    from torch.distributed.fsdp import fully_shard

    torch.manual_seed(0)
    block, states = Wide(), torch.rand(TOKENS, WIDTH, requires_grad=True)
    block(states).square().sum().backward()
    expected = {name: copy.deepcopy(weight.grad) for name, weight in block.named_parameters()}
    block.zero_grad()
    checkpoint_blocks([block])
    sharded = fully_shard(copy.deepcopy(block), reshard_after_forward=True)
    cast("nn.Module", sharded)(states).square().sum().backward()
    for name, weight in cast("nn.Module", sharded).named_parameters():
        assert torch.equal(cast("Any", weight.grad).full_tensor(), cast("Tensor", expected[name]))
