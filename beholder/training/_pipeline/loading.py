"""A pipeline by its name: a folder, a hub repository, a function of one's own, or "tiny"."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from beholder._published.repository import may_be_repository
from beholder.errors import ConfigError, MissingDependencyError
from beholder.rewards._precision import DTYPES
from beholder.training._pipeline.probe import denoiser_name
from beholder.training._pipeline.quiet import quiet
from beholder.training._pipeline.tiny import tiny_pipeline
from beholder.training.fit.loop import chosen_precision
from beholder.training.pipeline import Driver


def chosen_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype called "fp32", "bf16" or "fp16"; "auto" is bf16 on a GPU that has it, or fp32.

    Raises ConfigError for another name, or if the device lacks it.
    """
    if name not in {"auto", *DTYPES}:
        raise ConfigError(f"no dtype named {name!r}; known: auto, {', '.join(DTYPES)}")
    return DTYPES[chosen_precision(name, device)]


def load_pipeline(
    pipeline: Any,
    options: Mapping[str, Any],
    device: torch.device,
    dtype: torch.dtype,
    *,
    gradient_checkpointing: bool = False,
    vae_tiling: bool = False,
    keep_scheduler: bool = False,
) -> Driver:
    """A driver of the pipeline, with frozen weights.

    Args:
        pipeline: a folder that `save_pretrained` wrote or a hub repository, of which safetensors
            alone are read; "module:function", which gives a pipeline; "tiny", whose weights are
            random; or a pipeline itself.
        options: of `from_pretrained` or of the function, such as `revision`.
        device: of the weights.
        dtype: of the weights. A VAE that says that it overflows in float16 computes in float32,
            and so do adapters.
        gradient_checkpointing: of denoiser and VAE: less memory, a third more time.
        vae_tiling: decode in tiles: less memory for large pictures.
        keep_scheduler: see `Driver`.

    Raises:
        ConfigError: if there is no such pipeline, it cannot be driven, or it has no VAE to tile.
        MissingDependencyError: if diffusers is not installed.
    """
    pipe = _found(pipeline, options, dtype) if isinstance(pipeline, str) else pipeline
    _place(pipe, device, dtype)
    driver = Driver(pipe, keep_scheduler=keep_scheduler)
    if gradient_checkpointing:
        _checkpoint(driver)
    if vae_tiling:
        if not hasattr(getattr(pipe, "vae", None), "enable_tiling"):
            raise ConfigError(f"{type(pipe).__name__} has no VAE that tiles; turn vae_tiling off")
        pipe.vae.enable_tiling()
    return driver


def _place(pipe: Any, device: torch.device, dtype: torch.dtype) -> None:
    pipe.to(device)
    if (name := denoiser_name(pipe)) and getattr(pipe, name).dtype != dtype:
        with quiet():
            pipe.to(dtype)


def _checkpoint(driver: Driver) -> None:
    """Denoiser and VAE keep few activations and compute the others again; same gradients."""
    driver.denoiser.enable_gradient_checkpointing()
    vae = getattr(driver.pipe, "vae", None)
    if getattr(vae, "_supports_gradient_checkpointing", False):
        driver.pipe.vae.enable_gradient_checkpointing()


def _found(name: str, options: Mapping[str, Any], dtype: torch.dtype) -> Any:
    _require_diffusers()
    if name == "tiny":
        return tiny_pipeline(**options)
    if ":" in name and not Path(name).exists():
        return _called(name, options)
    is_folder = Path(name).is_dir()
    if is_folder and not (Path(name) / "model_index.json").is_file():
        raise ConfigError(f"{name} holds no model_index.json, so it is no diffusers pipeline")
    if not is_folder and not may_be_repository(name):
        raise ConfigError(
            f"no pipeline at {name!r}; give a folder, a hub repository as user/name, your own as "
            'module:function, or "tiny"'
        )
    return _read(name, options, dtype)


def _require_diffusers() -> None:
    try:
        importlib.import_module("diffusers")
    except ImportError as error:
        raise MissingDependencyError(
            f"pipelines need diffusers, which cannot be imported ({error}): pip install diffusers"
        ) from error


def _called(name: str, options: Mapping[str, Any]) -> Any:
    module, _, attribute = name.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"cannot load {name!r}: {error}; write it as module:function") from error
    pipe = factory(**options)
    if not hasattr(pipe, "components"):
        raise ConfigError(f"{name!r} gave a {type(pipe).__name__}, expected a diffusers pipeline")
    return pipe


def _read(name: str, options: Mapping[str, Any], dtype: torch.dtype) -> Any:
    from diffusers import DiffusionPipeline  # noqa: PLC0415

    given = {"dtype": dtype, "use_safetensors": True, **options}
    try:
        with quiet():
            return DiffusionPipeline.from_pretrained(name, **given)
    except (OSError, ValueError) as error:
        told = " ".join(str(error).split())
        raise ConfigError(f"cannot load pipeline {name!r}: {told[:300]}") from error
