"""How far a tuned pipeline is from itself: what its denoiser gives with and without adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from beholder.errors import BeholderError
from beholder.training.pipeline import Driver
from beholder.training.tuning_losses import output_distance


@contextmanager
def output_kl(driver: Driver) -> Iterator[list[Tensor]]:
    """A list that gets one number for each pass of the denoiser with gradients, inside.

    The number is the mean squared distance between what the denoiser gives and what it would have
    given before tuning; it has a gradient. Each costs another pass, without gradient.
    """
    distances: list[Tensor] = []

    def compare(denoiser: Any, args: Any, kwargs: Any, output: Any) -> None:
        if not torch.is_grad_enabled():
            return
        with torch.no_grad(), driver.reference():
            base = denoiser.forward(*args, **kwargs)  # past the hooks, so not compared again
        distances.append(_distance(output, base))

    handle = driver.denoiser.register_forward_hook(compare, with_kwargs=True)
    try:
        yield distances
    finally:
        handle.remove()


def mean_distance(distances: Sequence[Tensor]) -> Float[Tensor, ""]:
    """Mean over the passes; BeholderError if the denoiser was not called with gradients."""
    if not distances:
        raise BeholderError("the denoiser was not run with gradients; nothing can be compared")
    return torch.stack(list(distances)).mean()


def _distance(output: Any, base: Any) -> Tensor:
    pairs = zip(_tensors(output), _tensors(base), strict=True)
    return torch.stack([output_distance(one, other) for one, other in pairs]).mean()


def _tensors(output: Any) -> Iterator[Tensor]:
    """What a denoiser gave: a tensor, or tensors in tuples, lists and diffusers' outputs."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        yield from _tensors(list(output.values()))
    elif isinstance(output, (list, tuple)):
        for part in output:
            yield from _tensors(part)
