"""Activation checkpointing: what blocks compute is computed again instead of kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from beholder.rewards import Reward
from beholder.training.freezing import tower_blocks, tower_weights


def checkpoint_towers(reward: Reward) -> None:
    """`checkpoint_blocks` of every tower but its last one, until `plain_blocks`.

    What the last block computes is what the backward pass needs first, so that running it twice
    would save next to nothing; and a tower may run a part of it alone, which must go on.
    Raises ConfigError if the reward has no towers.
    """
    for tower in tower_weights(reward):
        checkpoint_blocks(map(reward.get_submodule, tower_blocks(reward, tower)[:-1]))


def checkpoint_blocks(blocks: Iterable[nn.Module]) -> None:
    """Let each block keep what it is given instead of all that it computes, until `plain_blocks`.

    The backward pass runs a block once more, with the same random numbers and precision: loss and
    gradients stay what they are, a step takes up to a third longer (Chen et al., 2016). No module
    is wrapped or renamed, so names of weights, adapters put into a block and hooks on it stay.
    """
    for block in blocks:
        if "forward" not in vars(block):
            # Not a closure: the copy of a block must run itself, not the block it was copied from.
            vars(block)["forward"] = partial(_recomputed, block.forward)


def plain_blocks(module: nn.Module) -> None:
    """Undo `checkpoint_blocks` in a module and all its parts."""
    for part in module.modules():
        forward = vars(part).get("forward")
        if isinstance(forward, partial) and forward.func is _recomputed:
            del vars(part)["forward"]


def _recomputed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)
