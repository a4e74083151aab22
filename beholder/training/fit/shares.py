"""Tensors of which each process holds its share, beside whole ones."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from beholder.training.fit.processes import Processes

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process holds only its share of it."""
    return hasattr(tensor, "full_tensor")


def full(tensor: Tensor) -> Tensor:
    """The whole tensor, the same in each process, all of which must ask for it."""
    return cast("DTensor", tensor).full_tensor() if is_sharded(tensor) else tensor


def like(value: Tensor, target: Tensor) -> Tensor:
    """A whole tensor where `target` is: of one in shards this process's share."""
    value = value.to(target.device)
    if not is_sharded(target):
        return value
    from torch.distributed.tensor import distribute_tensor  # noqa: PLC0415  (costs two seconds)

    other = cast("DTensor", target)
    return distribute_tensor(value, other.device_mesh, other.placements, src_data_rank=None)


def share_gradients(processes: Processes, weights: list[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes.

    A weight that only some processes used has zeros from the others; one that none used has none.
    What is in shards has its mean already.
    """
    if processes.count == 1:
        return
    weights = [weight for weight in weights if not is_sharded(weight)]
    used = processes.sum(torch.tensor([float(w.grad is not None) for w in weights]))
    for weight, is_used in zip(weights, used.tolist(), strict=True):
        if is_used:
            own = torch.zeros_like(weight) if weight.grad is None else weight.grad
            weight.grad = processes.mean(own)


def clip_gradients(weights: Collection[Tensor], most: float) -> float:
    """Cut the gradients' norm, over whole tensors and shards together, to `most`; gives the norm.

    All are divided by the same number, as `torch.nn.utils.clip_grad_norm_` does.
    """
    parts = [[w for w in weights if is_sharded(w) is kind] for kind in (False, True)]
    if not parts[1]:
        return nn.utils.clip_grad_norm_(weights, most).item()
    grads = [[w.grad for w in part if w.grad is not None] for part in parts]
    norm = math.hypot(*(full(nn.utils.get_total_norm(part)).item() for part in grads))
    for part in filter(None, parts):
        nn.utils.clip_grads_with_norm_(part, most, torch.tensor(norm, device=part[0].device))
    return norm
