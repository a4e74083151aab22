"""Whether a pipeline can be driven, and a scheduler that can be trained through."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from beholder.errors import ConfigError

_NEEDED = ("prompt", "num_inference_steps", "callback_on_step_end", "output_type", "latents")


def refusals(pipe: Any) -> list[str]:
    """Why the pipeline cannot be driven; empty if it can."""
    return list(_refusals(pipe))


def denoiser_name(pipe: Any) -> str:
    """The denoiser's name: "unet" or "transformer"; "" if the pipeline has neither, or several."""
    found = [name for name in ("unet", "transformer") if getattr(pipe, name, None) is not None]
    return found[0] if len(found) == 1 else ""


def trainable_scheduler(scheduler: Any) -> Any:
    """The scheduler, or the plainest one of its family if it does not tell x_0 of a step.

    Multi-step solvers hold earlier outputs, and so their graphs, and Euler's latents grow with
    the noise: diffusion gets DDIM, rectified flow the Euler scheduler of flow matching.
    """
    from diffusers import (  # noqa: PLC0415
        DDIMScheduler,
        FlowMatchEulerDiscreteScheduler,
    )

    name, config = type(scheduler).__name__, scheduler.config
    if name.startswith(("FlowMatchEuler", "DDIM", "DDPM", "LCM", "TCD")):
        return scheduler
    if "FlowMatch" in name or config.get("prediction_type") == "flow_prediction":
        shift = config.get("flow_shift") or config.get("shift") or 1.0
        steps = config.get("num_train_timesteps", 1000)
        return FlowMatchEulerDiscreteScheduler(num_train_timesteps=steps, shift=shift)
    if hasattr(scheduler, "alphas_cumprod"):
        return DDIMScheduler.from_config(config, clip_sample=False)
    raise ConfigError(
        f"scheduler {name} is neither of the diffusion nor of the flow-matching family; load the "
        "pipeline with a DDIM or flow-match Euler scheduler"
    )


def _refusals(pipe: Any) -> Iterator[str]:
    call = type(pipe).__call__
    known = inspect.signature(call).parameters
    if not hasattr(call, "__wrapped__"):
        yield "its __call__ is not the usual one under torch.no_grad"
    for name in _NEEDED:
        if name not in known:
            yield f"its __call__ takes no {name}"
    if not hasattr(type(pipe), "interrupt"):
        yield "its loop cannot be interrupted"
    if not denoiser_name(pipe):
        yield "it has not one unet or transformer"
    if not hasattr(pipe, "encode_prompt"):
        yield "it has no encode_prompt"
    if not hasattr(getattr(pipe, "image_processor", None), "denormalize"):
        yield "it has no image processor, as pipelines that give pictures do"
    if not hasattr(pipe, "load_lora_weights"):
        yield "it cannot load LoRA weights"


def check(pipe: Any) -> None:
    """Raise ConfigError with every reason if the pipeline cannot be driven."""
    if reasons := refusals(pipe):
        raise ConfigError(f"{type(pipe).__name__} cannot be driven: {'; '.join(reasons)}")
