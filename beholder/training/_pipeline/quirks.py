"""What is particular to a pipeline class, asked of the pipeline itself as far as it tells.

How families turn guidance on and off, and what `Sampling.guidance` means for them:

- most mix u + g (c - u), where u is the output without the prompt: 1 is off;
- Z-Image and Krea mix c + g (c - u): 0 is off;
- FLUX and Qwen-Image call it `true_cfg_scale`, and it is off unless a negative prompt is given, so
  one is; the `guidance_scale` that FLUX.1-dev is told in words of the model stays what it is, and
  can be set by `Sampling.call`;
- few-step models are told their guidance: it is no mixture, so nothing turns it off.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

_TOLD = ("SanaSprint", "LatentConsistencyModel", "Flux2Pipeline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """One pipeline.

    Attributes:
        guidance: the argument of its call that sets the guidance.
        no_guidance: the value that turns it off; None where the model is told it.
        negative: the negative prompt without which there is no guidance; "" where none is needed.
    """

    guidance: str = "guidance_scale"
    no_guidance: float | None = 1.0
    negative: str = ""


def quirk_of(pipe: Any) -> Quirk:
    """What the pipeline's class, the signature of its call and its own rule of guidance tell."""
    if type(pipe).__name__.startswith(_TOLD):
        return Quirk(no_guidance=None)
    if "true_cfg_scale" in inspect.signature(type(pipe).__call__).parameters:
        return Quirk(guidance="true_cfg_scale", negative=" ")
    return Quirk(no_guidance=0.0 if _mixes_at_one(pipe) else 1.0)


def _mixes_at_one(pipe: Any) -> bool:
    """Whether the pipeline takes a guidance of 1 for one."""
    pipe._guidance_scale = 1.0  # every call sets it anew
    return bool(getattr(pipe, "do_classifier_free_guidance", False))
