"""Low-rank adapters on a denoiser, and files of them that diffusers loads back exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from beholder.errors import BeholderError, ConfigError
from beholder.training._pipeline.quiet import quiet
from beholder.training.fit.learner import require

ADAPTER, _CHECK = "default", "reloaded"
_FILE = "pytorch_lora_weights.safetensors"
_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_TEXT_ATTENTION = ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """Low-rank updates of the denoiser's layers (Hu et al., 2022).

    Attributes:
        rank: of each update.
        alpha: its scale is alpha / rank; 0 is alpha = rank, a scale of 1.
        targets: ends of the names of the layers; none takes the attention, of text too where
            pictures and text attend to each other (SD3, FLUX, Qwen-Image).
    """

    rank: int = 16
    alpha: float = 0.0
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require("rank", self.rank, above=0)
        require("alpha", self.alpha, least=0)


def add_lora(pipe: Any, name: str, config: Lora) -> None:
    """Give the pipeline's denoiser adapters in float32, which change nothing before they train.

    Raises ConfigError if it has some already or no such layer, or if adapters of the pipeline
    could not be saved.
    """
    from peft import LoraConfig  # noqa: PLC0415

    if not hasattr(pipe, "load_lora_weights"):
        raise ConfigError(f"{type(pipe).__name__} cannot load LoRA weights, so none are trained")
    denoiser = getattr(pipe, name)
    if getattr(denoiser, "peft_config", None):
        raise ConfigError(
            "the pipeline carries adapters already; fuse them first: pipe.fuse_lora(), then "
            "pipe.unload_lora_weights()"
        )
    wanted = tuple(config.targets or _ATTENTION + _TEXT_ATTENTION)
    names = [
        name
        for name, part in denoiser.named_modules()
        if isinstance(part, (nn.Linear, nn.Conv2d))
        and f".{name}".endswith(tuple(f".{w}" for w in wanted))
    ]
    if not names:
        raise ConfigError(
            f"{type(denoiser).__name__} has no layer {', '.join(wanted)}; name lora.targets"
        )
    denoiser.add_adapter(
        LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha or config.rank,
            init_lora_weights="gaussian",
            target_modules=names,
        )
    )
    for weight in denoiser.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


@contextmanager
def adapters_off(denoiser: nn.Module) -> Iterator[None]:
    """The denoiser as it was before tuning; may lie between a forward and its backward.

    peft's own switch also freezes the adapters, which a backward pass would notice.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer  # noqa: PLC0415

    layers = [part for part in denoiser.modules() if isinstance(part, BaseTunerLayer)]
    before = [layer._disable_adapters for layer in layers]
    for layer in layers:
        layer._disable_adapters = True
    try:
        yield
    finally:
        for layer, was in zip(layers, before, strict=True):
            layer._disable_adapters = was


class Trained(nn.Module):
    """The adapters of a denoiser as a module of their own, for a loop that trains and saves them.

    The denoiser stays in eval mode and out of checkpoints. `state` are further tensors, such as an
    older copy of the adapters, that a run needs to go on.
    """

    def __init__(self, denoiser: nn.Module, state: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self._adapters = {n: w for n, w in denoiser.named_parameters() if w.requires_grad}
        self._state = dict(state or {})

    @override
    def named_parameters(self, *_: Any, **__: Any) -> Iterator[tuple[str, nn.Parameter]]:
        yield from self._adapters.items()

    @override
    def named_buffers(self, *_: Any, **__: Any) -> Iterator[tuple[str, Tensor]]:
        yield from self._state.items()


@contextmanager
def swapped(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> Iterator[None]:
    """Other values in the weights inside; not to lie between a forward and its backward."""
    kept = {name: weight.detach().clone() for name, weight in weights.items()}
    _fill(weights, others)
    try:
        yield
    finally:
        _fill(weights, kept)


@torch.no_grad()
def _fill(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        weight.copy_(others[name])


def save_lora(pipe: Any, name: str, folder: Path) -> float:
    """Write `pytorch_lora_weights.safetensors` and load it again; gives the reload error.

    The file is read by `pipe.load_lora_weights(folder)`, whose adapters are compared: 0 is exact.
    Raises BeholderError if an adapter does not come back.
    """
    from peft.utils import get_peft_model_state_dict  # noqa: PLC0415

    denoiser = getattr(pipe, name)
    # peft's own names: diffusers' older ones know to_q but not add_q_proj, and where both are in a
    # file it loads those alone that have the newer names.
    layers = get_peft_model_state_dict(denoiser, adapter_name=ADAPTER)
    folder.mkdir(parents=True, exist_ok=True)
    type(pipe).save_lora_weights(
        folder,
        **{
            f"{name}_lora_layers": {k: v.detach().cpu().contiguous() for k, v in layers.items()},
            # Without the metadata a scale other than 1 would be lost.
            f"{name}_lora_adapter_metadata": denoiser.peft_config[ADAPTER].to_dict(),
        },
    )
    error = reload_error(pipe, name, folder)
    if error > 0:
        raise BeholderError(f"the LoRA in {folder} does not load back: it differs by {error:.3g}")
    return error


def load_lora(pipe: Any, name: str, folder: Path) -> None:
    """Put on frozen adapters from a folder; ConfigError if there are none for the denoiser."""
    denoiser = getattr(pipe, name)
    if not folder.exists():
        raise ConfigError(f"no LoRA at {folder}; give a folder with {_FILE}")
    try:
        with quiet():
            pipe.load_lora_weights(folder)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        told = " ".join(str(error).split())
        raise ConfigError(f"cannot load the LoRA in {folder}: {told[:300]}") from error
    if not getattr(denoiser, "peft_config", None):
        raise ConfigError(f"the LoRA in {folder} holds no layer of {type(denoiser).__name__}")
    denoiser.requires_grad_(requires_grad=False).eval()


def reload_error(pipe: Any, name: str, folder: Path) -> float:
    """Largest difference between what the adapters add and what diffusers loads from the folder.

    Infinite if layers are missing. Rounding to the denoiser's own dtype is no difference.
    """
    denoiser = getattr(pipe, name)
    with quiet():
        pipe.load_lora_weights(folder, adapter_name=_CHECK)
        try:
            return max(_differences(denoiser), default=float("inf"))
        finally:
            pipe.delete_adapters(_CHECK)
            denoiser.set_adapter(ADAPTER)


def _differences(denoiser: nn.Module) -> Iterator[float]:
    from peft.tuners.tuners_utils import BaseTunerLayer  # noqa: PLC0415

    for layer in denoiser.modules():
        if not isinstance(layer, BaseTunerLayer):
            continue
        has_own, has_other = (adapter in layer.lora_A for adapter in (ADAPTER, _CHECK))
        if has_own and has_other:
            dtype = layer.lora_A[_CHECK].weight.dtype  # of the denoiser, which diffusers casts to
            own, other = (_update(layer, adapter, dtype) for adapter in (ADAPTER, _CHECK))
            yield float((own - other).abs().max())
        elif has_own or has_other:
            yield float("inf")


@torch.no_grad()
def _update(layer: Any, adapter: str, dtype: torch.dtype) -> Tensor:
    """What an adapter adds to a layer's weight, its factors rounded to the dtype."""
    down, up = (factor[adapter].weight.to(dtype).float() for factor in (layer.lora_A, layer.lora_B))
    added: Tensor = layer.scaling[adapter] * (up.flatten(1) @ down.flatten(1))
    return added
