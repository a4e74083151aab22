"""Whether weights can change while something computed from them is kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

Fingerprint = tuple[
    tuple[tuple[int, int, torch.dtype], ...], tuple[tuple[bool, tuple[str, ...]], ...]
]


def is_frozen(module: nn.Module) -> bool:
    """Eval mode, and no gradient that would reach the weights."""
    if module.training:
        return False
    return not (torch.is_grad_enabled() and any(p.requires_grad for p in module.parameters()))


def fingerprint(module: nn.Module) -> Fingerprint:
    """What changes when weights are replaced, moved, cast, or written in place, or adapters switch.

    Writing through `.data` goes unseen, as it does for autograd.
    """
    tensors = (*module.parameters(), *module.buffers())
    weights = tuple((t.data_ptr(), 0 if t.is_inference() else t._version, t.dtype) for t in tensors)
    return weights, tuple(_adapters(part) for part in module.modules() if _has_adapters(part))


def _has_adapters(part: nn.Module) -> bool:
    # peft's layers have it as a property; transformers' models as a method
    return isinstance(getattr(type(part), "disable_adapters", None), property)


def _adapters(part: Any) -> tuple[bool, tuple[str, ...]]:
    return bool(part.disable_adapters), tuple(part.active_adapters)
