"""Whether a pipeline can be driven, and a scheduler that can be trained through."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from beholder.errors import ConfigError

_NEEDED = ("prompt", "num_inference_steps", "callback_on_step_end", "output_type", "latents")
_PICTURES: Mapping[str, str] = MappingProxyType(
    {
        "strength": "a picture to begin with",
        "mask_image": "a mask",
        "control_image": "a control picture",
        "controlnet_conditioning_scale": "a control picture",
        "control_guidance_start": "a control picture",
    }
)
_DENOISERS = ("unet", "transformer")
_TRAINABLE = ("FlowMatchEuler", "DDIM", "DDPM", "LCM", "TCD")


def refusals(pipe: Any) -> list[str]:
    """Why the pipeline cannot be driven; empty if it can."""
    asked = {
        "it has not one unet or transformer": bool(denoiser_name(pipe)),
        "it has no image processor, as pipelines that give pictures do": hasattr(
            getattr(pipe, "image_processor", None), "denormalize"
        ),
    }
    return [*class_refusals(type(pipe)), *(why for why, is_met in asked.items() if not is_met)]


def class_refusals(kind: Any) -> list[str]:
    """What a pipeline class alone tells, without an instance and its weights."""
    known = inspect.signature(kind.__call__).parameters
    needs = dict.fromkeys(what for name, what in _PICTURES.items() if name in known)
    asked = {
        "its __call__ is not the usual one under torch.no_grad": hasattr(
            kind.__call__, "__wrapped__"
        ),
        **{f"its __call__ takes no {name}": name in known for name in _NEEDED},
        **{f"it needs {what}": False for what in needs},
        "it has no encode_prompt": hasattr(kind, "encode_prompt"),
    }
    return [why for why, is_met in asked.items() if not is_met]


def check(pipe: Any) -> None:
    """Raise ConfigError with every reason if the pipeline cannot be driven."""
    if reasons := refusals(pipe):
        raise ConfigError(f"{type(pipe).__name__} cannot be driven: {'; '.join(reasons)}")


def denoiser_name(pipe: Any) -> str:
    """The denoiser's name: "unet" or "transformer"; "" if the pipeline has neither, or both."""
    found = [name for name in _DENOISERS if getattr(pipe, name, None) is not None]
    return found[0] if len(found) == 1 else ""


def trainable_scheduler(scheduler: Any) -> Any:
    """The scheduler, or the plainest one of its family if it does not tell x_0 of a step.

    Multi-step solvers hold earlier outputs, and so their graphs, and Euler's latents grow with
    the noise: diffusion gets DDIM, rectified flow the Euler scheduler of flow matching. The
    schedule's own numbers are kept. Raises ConfigError for a scheduler of neither family.
    """
    from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler  # noqa: PLC0415

    name, config = type(scheduler).__name__, scheduler.config
    if name.startswith(_TRAINABLE):
        return scheduler
    if "FlowMatch" in name or config.get("prediction_type") == "flow_prediction":
        shift = config.get("flow_shift") or config.get("shift") or 1.0
        known = _known(config, FlowMatchEulerDiscreteScheduler)
        return FlowMatchEulerDiscreteScheduler(**known | {"shift": shift})
    if hasattr(scheduler, "alphas_cumprod"):
        return DDIMScheduler(**_known(config, DDIMScheduler) | {"clip_sample": False})
    raise ConfigError(
        f"scheduler {name} is neither of the diffusion nor of the flow-matching family; load the "
        "pipeline with a DDIM or flow-match Euler scheduler"
    )


def _known(config: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """What of a scheduler's configuration another kind takes."""
    known = inspect.signature(kind.__init__).parameters
    return {name: value for name, value in config.items() if name in known}
