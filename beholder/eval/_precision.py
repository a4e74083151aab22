"""True float32: what metrics compute in, whatever the program around them allows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

Knob = tuple[Any, str, object]
"""An object of torch, its attribute, and the value that means true float32."""


@contextmanager
def full_precision(kind: str) -> Iterator[None]:
    """Inside, products and convolutions are of float32: no TF32, no bfloat16, no autocast.

    TF32 has ten bits, and convolutions on a GPU use it unless they are told otherwise.
    `kind` is the type of the device, such as "cuda". What was set before is set again.
    """
    knobs = _knobs()
    before = [getattr(owner, name) for owner, name, _ in knobs]
    precision = torch.get_float32_matmul_precision() if _is_old_way() else None
    try:
        if precision is not None:
            torch.set_float32_matmul_precision("highest")
        for owner, name, value in knobs:
            setattr(owner, name, value)
        with torch.autocast(kind, enabled=False):
            yield
    finally:
        for (owner, name, _), value in zip(knobs, before, strict=True):
            setattr(owner, name, value)
        if precision is not None:
            torch.set_float32_matmul_precision(precision)


def _is_old_way() -> bool:
    """Whether the program left torch's older settings in charge.

    Torch refuses to read them where its newer ones say something else, and checks itself that both
    agree: so the ones that are in charge have to be changed.
    """
    try:
        torch.get_float32_matmul_precision()
        _ = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    except RuntimeError:
        return False
    return True


def _knobs() -> list[Knob]:
    backends: Any = torch.backends
    if _is_old_way():
        return [(backends.cudnn, "allow_tf32", False)]
    owners = (backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul)
    return [(owner, "fp32_precision", "ieee") for owner in (*owners, backends.mkldnn.conv)]
