"""Whether weights can change while something computed from them is kept."""

from __future__ import annotations

import torch
from torch import nn

Fingerprint = tuple[tuple[int, int, torch.dtype], ...]


def is_frozen(module: nn.Module) -> bool:
    """Eval mode, and no gradient that would reach the weights."""
    if module.training:
        return False
    return not (torch.is_grad_enabled() and any(p.requires_grad for p in module.parameters()))


def fingerprint(module: nn.Module) -> Fingerprint:
    """What changes when weights are replaced, moved, cast, or written in place."""
    tensors = (*module.parameters(), *module.buffers())
    return tuple((t.data_ptr(), 0 if t.is_inference() else t._version, t.dtype) for t in tensors)
