"""Towers in shards over the processes (ZeRO-3; Rajbhandari et al., 2020), by `fully_shard`.

Each block of a tower that learns is held in shards: a process keeps its share of the weights,
gradients and moments, and gathers a block while it computes. All else is whole in every process.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from beholder.errors import ConfigError
from beholder.rewards import Reward
from beholder.training.fit.processes import Processes
from beholder.training.fit.shares import full
from beholder.training.towers.freezing import tower_blocks, tower_weights

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule


class Shards:
    """The blocks of a module that are in shards; none if the processes were not told to shard.

    In place of each block stands a copy in shards until `undo`. A tower in which nothing learns
    stays whole: where its states are kept, the processes do not run it equally often.

    Args:
        module: on its device, what learns set free; no optimizer knows its weights yet.
        processes: how many, and whether they shard.
        precision: in which it computes; weights are held and gathered in float32, as without
            shards, and autocast rounds them.

    Raises:
        ConfigError: if the module has no blocks that learn, or the precision is fp16.
    """

    def __init__(self, module: nn.Module, processes: Processes, precision: str) -> None:
        self._module = module
        self._whole: dict[str, nn.Module] = {}
        self._sharded: dict[str, FSDPModule] = {}
        self._reshards = processes.reshards
        if not processes.shards:
            return
        if precision == "fp16":
            raise ConfigError("FSDP does not scale fp16 losses; use precision=bf16 or fp32")
        for name in learning_blocks(module):
            self._shard(name, processes)

    def __bool__(self) -> bool:
        """Whether anything is in shards."""
        return bool(self._sharded)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """All blocks are whole inside, so that each process may run them as often as it needs."""
        for block in self._sharded.values():
            block.set_reshard_after_forward(False)
            block.unshard()
            # Gathering leaves no trace by which a cache of states could know of new weights.
            increment_version(list(cast("nn.Module", block).parameters()))
        try:
            yield
        finally:
            for block in self._sharded.values():
                block.reshard()
                block.set_reshard_after_forward(self._reshards)

    @torch.no_grad()
    def undo(self) -> None:
        """Put the blocks back as they were, with the weights and buffers of now."""
        for name, block in self._whole.items():
            sharded = self._module.get_submodule(name)
            weights = {key: full(weight).clone() for key, weight in sharded.named_parameters()}
            _fill(block, weights)
            buffers = dict(block.named_buffers())
            for key, value in sharded.named_buffers():
                buffers[key].copy_(value)
            self._module.set_submodule(name, block)
        self._whole, self._sharded = {}, {}

    def _shard(self, name: str, processes: Processes) -> None:
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard  # noqa: PLC0415

        block = self._module.get_submodule(name)
        sharded = copy.deepcopy(block)
        policy = MixedPrecisionPolicy(cast_forward_inputs=False)
        self._sharded[name] = fully_shard(
            sharded, mesh=processes.mesh(), mp_policy=policy, reshard_after_forward=self._reshards
        )
        self._module.set_submodule(name, sharded)
        _fill(block, {key: weight.to("meta") for key, weight in block.named_parameters()})
        self._whole[name] = block


def learning_blocks(module: nn.Module) -> list[str]:
    """Names of the blocks of the towers in which anything learns.

    Blocks that share a weight with another part are left out. Raises ConfigError if none is left.
    """
    if not isinstance(module, Reward):
        raise ConfigError(
            f"FSDP shards the towers of a reward, {type(module).__name__} is none; start the run "
            "without FSDP"
        )
    towers = [tower_blocks(module, tower) for tower in tower_weights(module)]
    learning = [blocks for blocks in towers if any(_learns(module, name) for name in blocks)]
    names = dict.fromkeys(name for blocks in learning for name in blocks)
    chosen = [name for name in names if not _is_shared(module, name)]
    if not chosen:
        raise ConfigError("no tower learns, so FSDP would shard nothing; start without FSDP")
    return chosen


def _fill(block: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Give a block other weights, of whatever device."""
    for path, part in block.named_modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            value = values[f"{path}.{name}" if path else name]
            part.register_parameter(name, nn.Parameter(value, weight.requires_grad))


def _learns(module: nn.Module, block: str) -> bool:
    return any(weight.requires_grad for weight in module.get_submodule(block).parameters())


def _is_shared(module: nn.Module, block: str) -> bool:
    """Whether a weight of the block has a name outside it."""
    own = set(module.get_submodule(block).parameters())
    named = module.named_parameters(remove_duplicate=False)
    return any(w in own and not name.startswith(f"{block}.") for name, w in named)
