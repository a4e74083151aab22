"""The driver: any text-to-image pipeline of diffusers runs its own code, with gradients.

No sampling loop is copied. The pipeline's `__call__` is called without its `no_grad`, its scheduler
is watched, and what is asked of it beyond sampling is asked through the same call:

- a clean latent is decoded by a call whose schedule is empty;
- the denoiser is run at any time t by a call whose schedule is t, left at its first step;
- a picture is encoded by the pipeline's image-to-image sibling, with nothing mixed into it.

So guidance, packing, shifts and scales, lists and signs are the family's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from beholder.errors import ConfigError
from beholder.training._pipeline.lora import Lora as Lora
from beholder.training._pipeline.lora import Trained as Trained
from beholder.training._pipeline.lora import adapters_off, add_lora, save_lora
from beholder.training._pipeline.lora import swapped as swapped
from beholder.training._pipeline.noise import Noise, noise_of
from beholder.training._pipeline.probe import check, denoiser_name, trainable_scheduler
from beholder.training._pipeline.quirks import Quirk, quirk_of
from beholder.training._pipeline.taps import (
    PromptMemory,
    raw_call,
    replaced,
    saturation_passed,
    step_cut,
    steps_watched,
    timesteps_replaced,
)
from beholder.training.learner import require


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How pictures are sampled.

    Attributes:
        steps: of the scheduler.
        guidance: classifier-free guidance; None leaves the pipeline's own, 0 turns it off.
        height, width: in pixels; None is the pipeline's own.
        call: further arguments of the pipeline's call, such as `max_sequence_length`.
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


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a sampling run, as the scheduler saw it.

    Attributes:
        index: from 0.
        t: the time, as the scheduler counts it.
        sample, output: x_t, and what the model gave with guidance.
        following: what the next step starts from.
        x0: the clean latents that the output stands for.
    """

    index: int
    t: Tensor
    sample: Tensor
    output: Tensor
    following: Tensor
    x0: Tensor


@dataclass(frozen=True, slots=True)
class Sampled:
    """What one call of a pipeline gave.

    Attributes:
        pixels: in [0, 1]; empty where nothing was decoded.
        latents: clean latents as the scheduler holds them, packed if the family packs.
    """

    pixels: Float[Tensor, "b 3 h w"]
    latents: Tensor


OnStep = Callable[[Step], Tensor | None]
"""Called after each step; what it gives replaces the latents of the next."""


class Driver:
    """Runs one pipeline.

    Every weight is frozen and in eval mode; `add_lora` adds what trains. The scheduler is replaced
    where it cannot be trained through, unless `keep_scheduler`.

    Args:
        pipe: a text-to-image pipeline, loaded, on its device.
        keep_scheduler: for distilled models that need their own; x_0 must be told by its steps.

    Raises:
        ConfigError: if the pipeline cannot be driven, with every reason.
    """

    def __init__(self, pipe: Any, *, keep_scheduler: bool = False) -> None:
        check(pipe)
        self.pipe = pipe
        self.name = denoiser_name(pipe)
        self.quirk: Quirk = quirk_of(pipe)
        if not keep_scheduler:
            pipe.scheduler = trainable_scheduler(pipe.scheduler)
        self._noise = noise_of(pipe.scheduler)
        self._prompts = PromptMemory()
        pipe.set_progress_bar_config(disable=True)
        if getattr(pipe, "safety_checker", None) is not None:
            pipe.safety_checker = None  # it would blacken pictures that are learned from
        for part in pipe.components.values():
            if isinstance(part, nn.Module):
                part.requires_grad_(requires_grad=False).eval()

    @property
    def denoiser(self) -> Any:
        """The unet or transformer."""
        return getattr(self.pipe, self.name)

    @property
    def device(self) -> torch.device:
        """Where the pipeline computes."""
        return torch.device(self.pipe._execution_device)

    @property
    def noise(self) -> Noise:
        """How this pipeline mixes noise; ConfigError where its scheduler scales its latents."""
        if self._noise is None:
            raise ConfigError(
                f"{type(self.pipe.scheduler).__name__} scales its latents, so the denoiser cannot "
                "be run at chosen times; drop keep_scheduler"
            )
        return self._noise

    def generators(self, seeds: Sequence[int]) -> list[torch.Generator]:
        """One generator a picture: a picture depends on its seed, not on its neighbours."""
        return [torch.Generator(self.device).manual_seed(seed) for seed in seeds]

    def sample(
        self,
        prompts: Sequence[str],
        sampling: Sampling,
        *,
        seeds: Sequence[int] | None = None,
        latents: Tensor | None = None,
        grad_from: int | None = None,
        stop_at: int | None = None,
        on_step: OnStep | None = None,
        decode: bool = True,
    ) -> Sampled:
        """One picture a prompt, as the pipeline itself gives it.

        Args:
            prompts: one a picture.
            sampling: how.
            seeds: one a picture, of everything random; None draws from torch's own state.
            latents: the noise to begin with, instead of drawing it.
            grad_from: index of the first step with gradients; they flow from there through all
                steps that follow and the decoding. None gives none.
            stop_at: index of the step whose x_0 is decoded instead of going on.
            on_step: see `OnStep`.
            decode: whether pixels are wanted.
        """
        watch = _Watch(self, grad_from, stop_at, on_step)
        arguments = self._arguments(prompts, sampling)
        arguments["callback_on_step_end"] = watch.step_ended
        if seeds is not None:
            arguments["generator"] = self.generators(seeds)
        if latents is not None:
            arguments["latents"] = latents
        watched = steps_watched(self.pipe.scheduler, watch.stepped)
        with torch.set_grad_enabled(grad_from == 0), self._ready(), watched:
            pixels = self._call(arguments, decode=decode)
        return Sampled(pixels, watch.latents)

    def decode(self, latents: Tensor, sampling: Sampling) -> Float[Tensor, "b 3 h w"]:
        """Pixels in [0, 1] of clean latents, by a call without steps; gradients pass."""
        arguments = self._arguments([""] * len(latents), sampling, guided=False)
        none = torch.empty(0, device=self.device)
        with self._ready(), timesteps_replaced(self.pipe.scheduler, none):
            return self._call(arguments | {"latents": latents}, decode=True)

    def predict(self, x_t: Tensor, t: Tensor, prompts: Sequence[str], sampling: Sampling) -> Tensor:
        """What the denoiser gives at x_t and times t (b), without guidance; gradients pass."""
        self.noise  # noqa: B018  (refuses schedulers that scale)
        taken: list[Tensor] = []
        arguments = self._arguments(prompts, sampling, guided=False)
        scheduler = self.pipe.scheduler
        cut = step_cut(scheduler, lambda output, _: taken.append(output))
        with self._ready(), timesteps_replaced(scheduler, t[None]), cut:
            self._call(arguments | {"latents": x_t}, decode=False)
        (output,) = taken
        return output

    def encode(self, pixels: Float[Tensor, "b 3 h w"], sampling: Sampling) -> Tensor:
        """Clean latents of pictures in [0, 1], by the image-to-image sibling, without gradient.

        Raises ConfigError if the family has none.
        """
        pipe = self._image_to_image
        scheduler = pipe.scheduler
        mixing = "scale_noise" if hasattr(scheduler, "scale_noise") else "add_noise"
        taken: list[Tensor] = []
        arguments = self._arguments([""] * len(pixels), sampling, guided=False)
        for name in ("height", "width"):
            if name in arguments:
                arguments[name] = pixels.shape[-2 if name == "height" else -1]
        arguments |= {"image": pixels, "strength": 0.5, "output_type": "latent"}
        unmixed = replaced(scheduler, mixing, lambda sample, *_, **__: sample)
        cut = step_cut(scheduler, lambda _, sample: taken.append(sample))
        with torch.no_grad(), unmixed, cut:
            raw_call(pipe)(**arguments)
        (latents,) = taken
        return latents.detach()

    @cached_property
    def _image_to_image(self) -> Any:
        from diffusers import AutoPipelineForImage2Image  # noqa: PLC0415

        try:
            return AutoPipelineForImage2Image.from_pipe(self.pipe)
        except ValueError as error:
            raise ConfigError(
                f"{type(self.pipe).__name__} has no image-to-image sibling to encode pictures with"
            ) from error

    def levels(self, prompt: str, sampling: Sampling) -> list[float]:
        """The noise level |∂x_0 / ∂output| of each step, from one run with this prompt."""
        found: list[float] = []

        def note(step: Step) -> None:
            found.append(float(self._level(step.t)))

        self.sample([prompt], sampling, on_step=note, decode=False, seeds=[0])
        return found

    def add_lora(self, config: Lora) -> Trained:
        """Adapters that train; the rest stays frozen."""
        add_lora(self.denoiser, config, self.quirk.targets)
        return self.trained()

    def trained(self, state: Mapping[str, Tensor] | None = None) -> Trained:
        """What trains, for `fit`; `state` are further tensors that a run keeps."""
        return Trained(self.denoiser, state)

    @contextmanager
    def reference(self) -> Iterator[None]:
        """The pipeline as it was before tuning, inside."""
        with adapters_off(self.denoiser):
            yield

    def save_lora(self, folder: Path) -> float:
        """Write the adapters for `load_lora_weights`; gives the reload error, which is 0.

        Raises BeholderError if they do not come back.
        """
        return save_lora(self.pipe, self.name, folder)

    def _level(self, t: Tensor) -> Tensor:
        if self._noise is not None:
            return self._noise.level(t.detach())
        sigmas = self.pipe.scheduler.sigmas
        return sigmas[self.pipe.scheduler.step_index - 1]

    def _x0(self, output: Tensor, t: Tensor, sample: Tensor, result: Any) -> Tensor:
        for name in ("pred_original_sample", "denoised"):
            if (told := getattr(result, name, None)) is not None:
                return told  # type: ignore[no-any-return]
        return self.noise.x0(output, sample, t)

    def _arguments(
        self, prompts: Sequence[str], sampling: Sampling, *, guided: bool = True
    ) -> dict[str, Any]:
        """The pipeline's arguments; those that it does not know are not passed."""
        asked = {"height": sampling.height, "width": sampling.width}
        given = {name: side for name, side in asked.items() if side is not None}
        given |= {"prompt": list(prompts), "num_inference_steps": sampling.steps, **sampling.call}
        if not guided or sampling.guidance == 0:
            given[self.quirk.guidance] = self.quirk.no_guidance
        elif sampling.guidance is not None:
            given[self.quirk.guidance] = sampling.guidance
        return given

    @contextmanager
    def _ready(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(saturation_passed(self.pipe.image_processor))
            stack.enter_context(self._prompts.used(self.pipe))
            yield

    def _call(self, arguments: Mapping[str, Any], *, decode: bool) -> Tensor:
        kind = "pt" if decode else "latent"
        images: Tensor = raw_call(self.pipe)(**arguments, output_type=kind).images
        return images if decode else images.new_empty(0, 3, 0, 0)


class _Watch:
    """Turns gradients on, tells steps, and stops, from inside the pipeline's loop."""

    def __init__(
        self, driver: Driver, grad_from: int | None, stop_at: int | None, on_step: OnStep | None
    ) -> None:
        self._driver = driver
        self._grad_from, self._stop_at, self._on_step = grad_from, stop_at, on_step
        self._index = 0
        self._replacement: Tensor | None = None
        self._x0: Tensor | None = None
        self.latents = torch.empty(0)

    def stepped(self, output: Tensor, t: Tensor, sample: Tensor, result: Any) -> None:
        """After a step of the scheduler."""
        is_last = self._index == self._stop_at
        if self._on_step is None and not is_last:
            return
        x0 = self._driver._x0(output, t, sample, result).to(result.prev_sample.dtype)
        self._x0 = x0
        if self._on_step is not None:
            step = Step(self._index, t, sample, output, result.prev_sample, x0)
            self._replacement = self._on_step(step)

    def step_ended(
        self, pipe: Any, index: int, t: Any, tensors: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The pipeline's callback."""
        latents = tensors["latents"] if self._replacement is None else self._replacement
        if index == self._stop_at and self._x0 is not None:
            pipe._interrupt = True
            latents = self._x0
        self.latents = latents
        self._index, self._replacement = index + 1, None
        if self._index == self._grad_from:
            torch.set_grad_enabled(True)
        return {"latents": latents}
