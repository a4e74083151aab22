"""Where numbers stop being finite: in a batch, the weights, what is computed, or a gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

_LOWER = "lower the learning rate or clip_norm, warm up longer or use precision=fp32"


def cause_in(
    module: nn.Module,
    batch: object,
    loss: Callable[[], Tensor],
    *,
    step: int = 0,
    again: bool = True,
) -> str:
    """What was the first not to be finite, and what to do about it; "" if all of it is finite.

    Looked at in this order: the weights, the batch, what each part of the module gives while
    `loss` computes once more, the gradient of each weight in the order of the backward pass.
    The module's gradients are dropped. `step` is how many steps were taken before. Nothing is
    computed `again` where processes would wait for each other in it.
    """
    module.zero_grad(set_to_none=True)
    if name := first_damaged(module):
        why = "the weights that the run began with are damaged"
        if step:
            why = f"an earlier step spoiled them: {_LOWER}"
        return f"the weights were not finite before this step, {name!r} first: {why}"
    if name := first_not_finite(tensors_in(batch)):
        return f"its batch is not finite, {name} first: look at the data behind it"
    if not again:
        return f"batch and weights are finite, what is computed from them is not: {_LOWER}"
    with watched_outputs(module) as outputs:
        value = loss()
    if outputs or not value.isfinite():
        where = f"the output of {outputs[0]!r}" if outputs else "the loss itself"
        return f"batch and weights are finite, {where} is the first that is not: {_LOWER}"
    with watched_gradients(dict(module.named_parameters())) as gradients:
        value.backward()
    if gradients:
        return (
            "batch, weights and loss are finite, the gradient is not, that of "
            f"{gradients[0]!r} first: {_LOWER}"
        )
    return ""


def first_damaged(module: nn.Module) -> str | None:
    """The first weight with an entry that is not finite, or buffer with one that is no number.

    Infinity is no damage to a buffer: masks of attention, such as open_clip's, are made of it.
    """
    return first_not_finite(module.named_parameters()) or next(
        (name for name, buffer in module.named_buffers() if bool(buffer.isnan().any())), None
    )


def first_not_finite(tensors: Iterator[tuple[str, Tensor]]) -> str | None:
    """The name of the first tensor with an entry that is not finite; None if there is none."""
    return next((name for name, tensor in tensors if not _is_finite(tensor)), None)


def tensors_in(value: object, name: str = "batch") -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested dataclasses, mappings and sequences, named as one would reach them."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from tensors_in(part, f"{name}[{key!r}]")
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from tensors_in(getattr(value, each.name), f"{name}.{each.name}")
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for k, part in enumerate(value):
            yield from tensors_in(part, f"{name}[{k}]")


@contextmanager
def watched_outputs(module: nn.Module) -> Iterator[list[str]]:
    """Names of the parts whose output is not finite, in the order in which they compute inside."""
    found: list[str] = []

    def look(name: str, part: nn.Module, given: Any, output: object) -> None:
        if first_not_finite(tensors_in(output)):
            found.append(name)

    with ExitStack() as stack:
        for name, part in module.named_modules():
            stack.callback(part.register_forward_hook(partial(look, name)).remove)
        yield found


@contextmanager
def watched_gradients(weights: Mapping[str, nn.Parameter]) -> Iterator[list[str]]:
    """Names of the weights whose gradient is not finite, in the order of the backward pass."""
    found: list[str] = []

    def look(name: str, weight: Tensor) -> None:
        if weight.grad is not None and not _is_finite(weight.grad):
            found.append(name)

    with ExitStack() as stack:
        for name, weight in weights.items():
            if weight.requires_grad:
                hook = weight.register_post_accumulate_grad_hook(partial(look, name))
                stack.callback(hook.remove)
        yield found


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())
