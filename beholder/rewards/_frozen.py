"""Whether weights can change while something computed from them is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

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
    parts = list(_parts(module))
    tensors = [t for part in parts for held in _held(part) for t in held.values() if t is not None]
    weights = tuple((t.data_ptr(), 0 if t.is_inference() else t._version, t.dtype) for t in tensors)
    return weights, tuple(_adapters(part) for part in parts if _has_adapters(type(part)))


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    """The module and all below it, as `modules` gives them, without the names that that makes up.

    It is walked for every batch: beside a small model the names took as long as the model.
    """
    seen, waiting = set(), [module]
    while waiting:
        part = waiting.pop()
        if part not in seen:
            seen.add(part)
            yield part
            waiting += [child for child in part._modules.values() if child is not None]


def _held(part: nn.Module) -> tuple[Mapping[str, Tensor | None], ...]:
    return part._parameters, part._buffers


_adapting: dict[type[nn.Module], bool] = {}


def _has_adapters(kind: type[nn.Module]) -> bool:
    if kind not in _adapting:
        # peft's layers have it as a property; transformers' models as a method
        _adapting[kind] = isinstance(getattr(kind, "disable_adapters", None), property)
    return _adapting[kind]


def _adapters(part: Any) -> tuple[bool, tuple[str, ...]]:
    return bool(part.disable_adapters), tuple(part.active_adapters)
