"""How pictures are sampled, as arguments of a pipeline's own call."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from beholder.errors import ConfigError
from beholder.training._pipeline.quirks import Quirk
from beholder.training.fit.learner import require

_SET_HERE = {
    "prompt": "the prompts",
    "num_inference_steps": "sampling.steps",
    "height": "sampling.height",
    "width": "sampling.width",
    "generator": "the seeds",
    "latents": "latents",
    **dict.fromkeys(
        (
            "num_images_per_prompt",
            "output_type",
            "return_dict",
            "callback_on_step_end",
            "callback_on_step_end_tensor_inputs",
        ),
        "the driver itself",
    ),
}
_WORDS = re.compile(r"prompt_\d|negative_prompt(_\d)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How pictures are sampled.

    Attributes:
        steps: of the scheduler.
        guidance: classifier-free guidance; None leaves the pipeline's own, 0 turns it off.
        height, width: in pixels; None is the pipeline's own.
        call: further arguments of the pipeline's call, such as `max_sequence_length` or
            `negative_prompt`, which may be one for all pictures.
    """

    steps: int = 28
    guidance: float | None = None
    height: int | None = None
    width: int | None = None
    call: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require("steps", self.steps, above=0)
        if self.guidance is not None:
            require("guidance", self.guidance, least=0)
        for name in ("height", "width"):
            if (side := getattr(self, name)) is not None:
                require(name, side, above=0)


def call_arguments(
    pipe: Any, quirk: Quirk, prompts: Sequence[str], sampling: Sampling, *, guided: bool = True
) -> dict[str, Any]:
    """Arguments of the pipeline's call for these prompts, with or without its guidance.

    Raises ConfigError if `sampling.call` holds what the pipeline does not take, or what is set
    elsewhere.
    """
    _check(pipe, quirk, sampling.call)
    sides = {"height": sampling.height, "width": sampling.width}
    off = quirk.no_guidance is not None and not (guided and _is_guided(quirk, sampling))
    return {
        **{name: side for name, side in sides.items() if side is not None},
        **_shared(sampling.call, len(prompts), off=off),
        **_guidance(quirk, sampling, len(prompts), off=off),
        "prompt": list(prompts),
        "num_inference_steps": sampling.steps,
    }


def known_to(pipe: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the arguments that a pipeline's call takes."""
    known = inspect.signature(type(pipe).__call__).parameters
    return {name: value for name, value in arguments.items() if name in known}


def _check(pipe: Any, quirk: Quirk, call: Mapping[str, Any]) -> None:
    known = inspect.signature(type(pipe).__call__).parameters
    elsewhere = {**_SET_HERE, quirk.guidance: "sampling.guidance"}
    for name in call:
        if name in elsewhere:
            raise ConfigError(f"sampling.call must not hold {name!r}: {elsewhere[name]} sets it")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "see the pipeline's documentation"
            raise ConfigError(
                f"sampling.call holds {name!r}, which {type(pipe).__name__} does not take; {hint}"
            )


def _is_guided(quirk: Quirk, sampling: Sampling) -> bool:
    if sampling.guidance is None:
        return not quirk.negative or "negative_prompt" in sampling.call
    return sampling.guidance > 0


def _shared(call: Mapping[str, Any], count: int, *, off: bool) -> dict[str, Any]:
    """Further arguments: a text that is one for all is given to each picture."""
    return {
        name: [value] * count if isinstance(value, str) and _WORDS.fullmatch(name) else value
        for name, value in call.items()
        if not (off and name.startswith("negative_prompt"))
    }


def _guidance(quirk: Quirk, sampling: Sampling, count: int, *, off: bool) -> dict[str, Any]:
    value = quirk.no_guidance if off else sampling.guidance
    given: dict[str, Any] = {} if value is None else {quirk.guidance: value}
    if not off and quirk.negative and "negative_prompt" not in sampling.call:
        given["negative_prompt"] = [quirk.negative] * count
    return given
