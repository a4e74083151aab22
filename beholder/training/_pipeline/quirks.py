"""What is particular to a pipeline class; everything else is asked of the pipeline itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_JOINT = (*_ATTENTION, "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """One pipeline class.

    Attributes:
        guidance: the argument of its call that sets classifier-free guidance.
        no_guidance: the value that turns it off.
        targets: ends of the names of the layers that get a LoRA.
    """

    guidance: str = "guidance_scale"
    no_guidance: float = 1.0
    targets: tuple[str, ...] = _ATTENTION


QUIRKS: Mapping[str, Quirk] = MappingProxyType(
    {
        "StableDiffusion3Pipeline": Quirk(targets=_JOINT),
        # FLUX.1-dev is told its guidance, which stays as it is; true guidance is off by default.
        "FluxPipeline": Quirk(guidance="true_cfg_scale", targets=_JOINT),
        "QwenImagePipeline": Quirk(guidance="true_cfg_scale", targets=_JOINT),
        "ZImagePipeline": Quirk(no_guidance=0.0),
    }
)


def quirk_of(pipe: object) -> Quirk:
    """The entry of a pipeline's class, or the usual."""
    return QUIRKS.get(type(pipe).__name__, Quirk())
