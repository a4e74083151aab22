"""How many numbers a network holds, each counted once however often it is used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from beholder.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Counts of numbers, not of tensors.

    Attributes:
        all: distinct parameters; tied ones once.
        trainable: those of them that require a gradient.
        shared: how many more there would be if tied parameters counted wherever they stand.
        buffers: numbers that are stored but not learned, such as running means.
        parameter_bytes, buffer_bytes: what they take in memory.
    """

    all: int
    trainable: int
    shared: int
    buffers: int
    parameter_bytes: int
    buffer_bytes: int

    def as_dict(self) -> dict[str, int]:
        """The same as plain JSON-ready values."""
        return asdict(self)


def count_parameters(*modules: nn.Module) -> Parameters:
    """What some modules hold together; what they share with each other counts once.

    Tensors are one if they are the same numbers in memory, under one name or several.
    Raises DataError for lazy parameters, whose sizes are known after a first call.
    """
    placed = [p for m in modules for _, p in m.named_parameters(remove_duplicate=False)]
    if any(map(is_lazy, placed)):
        raise DataError("the network has lazy parameters without a size; run it once, then count")
    parameters = _distinct(placed)
    buffers = _distinct(b for m in modules for b in m.buffers())
    return Parameters(
        all=_numbers(parameters),
        trainable=_numbers(p for p in parameters if p.requires_grad),
        shared=_numbers(placed) - _numbers(parameters),
        buffers=_numbers(buffers),
        parameter_bytes=_bytes(parameters),
        buffer_bytes=_bytes(buffers),
    )


def _distinct(tensors: Iterable[Tensor]) -> list[Tensor]:
    return list({_place(tensor): tensor for tensor in tensors}.values())


def _place(tensor: Tensor) -> tuple[object, ...]:
    """Which numbers a tensor is; the storage's own address also tells on the meta device."""
    storage = tensor.untyped_storage()
    return storage._cdata, tensor.storage_offset(), tensor.numel()


def _numbers(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
