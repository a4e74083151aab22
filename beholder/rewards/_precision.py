"""Types and devices: half precision for the bulk of a model, float32 where scores are made."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from beholder.errors import ConfigError

_log = logging.getLogger(__name__)


def at_least_float32(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The values in float32, or in float64 if they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def cast_parts(module: nn.Module, dtype: torch.dtype, kept: Sequence[str]) -> None:
    """Cast the children of a module; those named in `kept` never below float32.

    A reward further in keeps what it keeps when it is cast by itself: its `float32`, and tensors
    that lie directly on it. Raises ConfigError unless the type is a floating-point one.
    """
    if not dtype.is_floating_point:
        raise ConfigError(f"weights are cast to a floating-point type, not to {dtype}")
    for name, part in module.named_children():
        if name in kept and dtype.itemsize < 4:
            part.to(dtype=torch.float32)
        elif any(hasattr(inner, "float32") for inner in part.modules()):  # as on every reward
            cast_parts(part, dtype, getattr(part, "float32", ()))
        else:
            _cast(part, dtype)


def checked_device(name: torch.device | str) -> torch.device:
    """The device of that name; ConfigError if torch does not know it or the machine has none."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        raise ConfigError(
            f"there is no device {str(name)!r} here, or torch cannot use it; cpu always works"
        ) from error
    return device


def is_logit(name: str) -> bool:
    """Whether a weight is the scale or the bias of logits: one number that moves every score."""
    return name.rpartition(".")[2] in {"logit_scale", "logit_bias"}


def _cast(part: nn.Module, dtype: torch.dtype) -> None:
    logits = {name: value.data for name, value in part.named_parameters() if is_logit(name)}
    part.to(dtype=dtype)
    if dtype.itemsize < 4:  # bf16 would turn a factor of 100 into 98.9
        for name, value in logits.items():
            part.get_parameter(name).data = at_least_float32(value)


DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def dtype_named(name: str, device: torch.device | str | None) -> torch.dtype:
    """The type called fp32, bf16 or fp16; warns where the device only emulates it.

    Raises ConfigError for another name.
    """
    if name not in DTYPES:
        raise ConfigError(f"dtype is one of {', '.join(DTYPES)}; got {name!r}")
    is_cpu = torch.device(device or "cpu").type == "cpu"
    if name != "fp32" and is_cpu and not _is_native(name):
        _log.warning("this CPU emulates %s, which takes several times as long as fp32", name)
    return DTYPES[name]


def _is_native(name: str) -> bool:
    probes = {
        "bf16": ("_is_avx512_bf16_supported", "_is_amx_tile_supported"),
        "fp16": ("_is_amx_fp16_supported",),
    }
    return any(getattr(torch.cpu, probe, bool)() for probe in probes[name])


def moved(pictures: Sequence[Shaped[Tensor, "3 h w"]], device: torch.device) -> Tensor:
    """Pictures of one size as a batch (b, 3, h, w) on a device; to a GPU through pinned memory."""
    batch = torch.stack(list(pictures))
    if device.type == "cuda" and batch.device.type == "cpu":
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)
