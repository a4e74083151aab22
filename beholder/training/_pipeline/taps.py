"""How a pipeline's own code is run with gradients, watched, cut short or given other steps."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

_KEPT_PROMPTS = 4  # batches of encoded prompts


def raw_call(pipe: Any) -> Callable[..., Any]:
    """The pipeline's own `__call__` without the `no_grad` that diffusers wraps around it."""
    call = type(pipe).__call__
    raw = getattr(call, "__wrapped__", call)
    return functools.partial(raw, pipe)


class Cut(BaseException):
    """Leaves a pipeline's loop from inside; no `except Exception` of it holds this back."""


@contextmanager
def replaced(owner: Any, name: str, method: Callable[..., Any]) -> Iterator[None]:
    """`method` in place of the owner's; pipelines that look at its signature see the old one."""
    before = vars(owner).get(name)
    functools.update_wrapper(method, getattr(owner, name))
    setattr(owner, name, method)
    try:
        yield
    finally:
        delattr(owner, name)
        if before is not None:
            setattr(owner, name, before)


@contextmanager
def timesteps_replaced(scheduler: Any, timesteps: Tensor) -> Iterator[None]:
    """Whatever schedule the pipeline asks for, its loop runs over these `timesteps`.

    A row of several numbers is one step with a time for each picture; no row is no step at all.
    """
    own = scheduler.set_timesteps

    def set_timesteps(*args: Any, **kwargs: Any) -> None:
        own(*args, **kwargs)
        scheduler.timesteps = timesteps

    with replaced(scheduler, "set_timesteps", set_timesteps):
        yield


@contextmanager
def steps_watched(
    scheduler: Any, watch: Callable[[Tensor, Tensor, Tensor, Any], None]
) -> Iterator[None]:
    """`watch(output, t, sample, result)` after each step of the scheduler."""
    own = scheduler.step

    def step(output: Tensor, t: Tensor, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
        is_dict = kwargs.pop("return_dict", True)
        result = own(output, t, sample, *args, return_dict=True, **kwargs)
        watch(output, t, sample, result)
        return result if is_dict else (result.prev_sample,)

    with replaced(scheduler, "step", step):
        yield


@contextmanager
def step_cut(scheduler: Any, taken: Callable[[Tensor, Tensor], None]) -> Iterator[None]:
    """The pipeline runs to its first step and is left there: `taken(output, sample)`."""

    def step(output: Tensor, t: Tensor, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
        taken(output, sample)
        raise Cut

    with suppress(Cut), replaced(scheduler, "step", step):
        yield


@contextmanager
def unmixed(scheduler: Any) -> Iterator[None]:
    """Noise that a pipeline asks to be mixed into its latents is left out."""
    with ExitStack() as stack:
        for name in ("add_noise", "scale_noise"):
            if hasattr(scheduler, name):
                stack.enter_context(replaced(scheduler, name, lambda sample, *_, **__: sample))
        yield


@contextmanager
def vae_in_its_dtype(pipe: Any) -> Iterator[None]:
    """The VAE computes in the dtype of its weights, whatever comes and under any autocast.

    So one that is kept in float32, because it overflows in half precision, stays in it.
    """
    vae = getattr(pipe, "vae", None)
    if vae is None:
        yield
        return
    with ExitStack() as stack:
        for name in ("encode", "decode"):
            stack.enter_context(replaced(vae, name, _typed(vae, getattr(vae, name))))
        stack.enter_context(replaced(vae, "to", lambda *_, **__: vae))  # some cast it to and fro
        yield


def overflows(pipe: Any) -> bool:
    """Whether the VAE is in float16 and says that it cannot compute in it."""
    vae = getattr(pipe, "vae", None)
    if vae is None or vae.dtype != torch.float16:
        return False
    return bool(vae.config.get("force_upcast"))


def _typed(vae: Any, own: Callable[..., Any]) -> Callable[..., Any]:
    def call(values: Tensor, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(values.device.type, enabled=False):
            return own(values.to(vae.dtype), *args, **kwargs)

    return call


@contextmanager
def posterior_mean(vae: Any) -> Iterator[None]:
    """A VAE that tells a distribution of latents gives its mean, not a draw from it."""
    own = vae.encode

    def encode(*args: Any, **kwargs: Any) -> Any:
        told = own(*args, **kwargs)
        if (latents := getattr(told, "latent_dist", None)) is not None:
            latents.sample = lambda *_, **__: latents.mode()
        return told

    with replaced(vae, "encode", encode):
        yield


class _StraightClamp(torch.autograd.Function):
    """Clamps to [0, 1]; the gradient passes, so that saturated pixels can come back."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


@contextmanager
def saturation_passed(processor: Any) -> Iterator[None]:
    """Pictures are clamped to [0, 1] as before, but gradients reach pixels that were cut off."""

    def denormalize(images: Tensor) -> Tensor:
        clamped: Tensor = _StraightClamp.apply(images * 0.5 + 0.5)
        return clamped

    with replaced(processor, "denormalize", denormalize):
        yield


class PromptMemory:
    """Keeps what the pipeline's `encode_prompt` gave for the last few batches of prompts."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Any] = OrderedDict()

    @contextmanager
    def used(self, pipe: Any) -> Iterator[None]:
        """A batch of prompts that was encoded before is not encoded again."""
        own = pipe.encode_prompt

        def encode_prompt(*args: Any, **kwargs: Any) -> Any:
            if _holds_tensor((args, kwargs)):
                return own(*args, **kwargs)
            key = repr((type(pipe), args, sorted(kwargs.items())))
            if key not in self._kept:
                with torch.no_grad():
                    self._kept[key] = own(*args, **kwargs)
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT_PROMPTS:
                self._kept.popitem(last=False)
            return _fresh(self._kept[key])

        with replaced(pipe, "encode_prompt", encode_prompt):
            yield


def _fresh(kept: Any) -> Any:
    """The same tensors in new lists: pipelines extend lists in place."""
    if isinstance(kept, list):
        return [_fresh(value) for value in kept]
    if isinstance(kept, tuple):
        return tuple(_fresh(value) for value in kept)
    if isinstance(kept, Mapping):
        return {key: _fresh(value) for key, value in kept.items()}
    return kept


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_tensor, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_tensor, value))
    return isinstance(value, Tensor)
