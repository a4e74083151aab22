"""The driver: any text-to-image pipeline of diffusers runs its own code, with gradients.

No sampling loop is copied. The pipeline's `__call__` is called without its `no_grad`, its scheduler
is watched, and what is asked of it beyond sampling is asked through the same call:

- a clean latent is decoded by a call whose schedule is empty;
- the denoiser is run at any time t by a call whose schedule is t, left at its first step;
- a picture is encoded by the pipeline's image-to-image sibling, with nothing mixed into it.

So guidance, packing, shifts and scales, lists and signs are the family's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from beholder.errors import ConfigError
from beholder.training._pipeline.lora import Lora as Lora
from beholder.training._pipeline.lora import Trained as Trained
from beholder.training._pipeline.lora import adapters_off, add_lora, load_lora, save_lora
from beholder.training._pipeline.lora import swapped as swapped
from beholder.training._pipeline.noise import Noise, noise_of, window
from beholder.training._pipeline.probe import check, denoiser_name, trainable_scheduler
from beholder.training._pipeline.quirks import Quirk, quirk_of
from beholder.training._pipeline.sampling import Sampling as Sampling
from beholder.training._pipeline.sampling import call_arguments, known_to
from beholder.training._pipeline.taps import (
    PromptMemory,
    overflows,
    posterior_mean,
    raw_call,
    saturation_passed,
    step_cut,
    timesteps_replaced,
    unmixed,
    vae_in_its_dtype,
)
from beholder.training._pipeline.watch import OnStep as OnStep
from beholder.training._pipeline.watch import Step as Step
from beholder.training._pipeline.watch import Watch


@dataclass(frozen=True, slots=True)
class Sampled:
    """What one call of a pipeline gave.

    Attributes:
        pixels: in [0, 1]; empty where nothing was decoded.
        latents: clean latents as the scheduler holds them, packed if the family packs.
    """

    pixels: Float[Tensor, "b 3 h w"]
    latents: Tensor


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
        if overflows(pipe):
            pipe.vae.float()
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

    @property
    def can_predict(self) -> bool:
        """Whether the denoiser can be run at chosen times."""
        return self._noise is not None

    def generators(
        self, seeds: Sequence[int], device: torch.device | None = None
    ) -> list[torch.Generator]:
        """One generator a picture: a picture depends on its seed, not on its neighbours.

        They draw on `device`, None is the pipeline's own.
        """
        return [torch.Generator(device or self.device).manual_seed(seed) for seed in seeds]

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

        Raises:
            ConfigError: if the run has no such step, or `sampling.call` does not fit the pipeline.
        """
        watch = Watch(self._x0, grad_from, stop_at, on_step)
        arguments = self._arguments(prompts, sampling)
        arguments["callback_on_step_end"] = watch.step_ended
        if seeds is not None:
            arguments["generator"] = self.generators(seeds)
        if latents is not None:
            arguments["latents"] = latents
        pixels = self._no_pixels
        with self._ready(), watch.on(self.pipe.scheduler):
            pixels = self._call(arguments, decode=decode and stop_at is None)
        if decode and stop_at is not None:
            with torch.set_grad_enabled(grad_from is not None):
                pixels = self.decode(watch.latents, sampling)
        return Sampled(pixels, watch.latents)

    def own_call(
        self,
        prompts: Sequence[str],
        sampling: Sampling,
        *,
        seeds: Sequence[int],
        noise_on: torch.device | None = None,
    ) -> Float[Tensor, "b 3 h w"]:
        """Pixels of the pipeline's own call, which `sample` must equal.

        Noise that is drawn on the CPU is the same on every machine; None draws it where the
        pipeline computes.
        """
        arguments = self._arguments(prompts, sampling)
        with vae_in_its_dtype(self.pipe):
            images: Tensor = self.pipe(
                **arguments, generator=self.generators(seeds, noise_on), output_type="pt"
            ).images
        return images

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
            self._call(arguments | {"latents": x_t.to(self.denoiser.dtype)}, decode=False)
        (output,) = taken
        return output

    def encode(self, pixels: Float[Tensor, "b 3 h w"], sampling: Sampling) -> Tensor:
        """Clean latents of pictures in [0, 1], by the image-to-image sibling, without gradient.

        They are the mean of what the VAE tells, so a picture has one, and nothing is drawn from
        torch's random state. Raises ConfigError if the family has no such sibling.
        """
        pipe = self._image_to_image
        taken: list[Tensor] = []
        arguments = self._arguments([""] * len(pixels), sampling, guided=False) | {
            "image": pixels.to(self.device),
            "height": pixels.shape[-2],
            "width": pixels.shape[-1],
            "strength": 1.0,
            "num_inference_steps": 1,
            "generator": self.generators([0] * len(pixels)),  # of noise that is left out
        }
        cut = step_cut(pipe.scheduler, lambda _, sample: taken.append(sample))
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(vae_in_its_dtype(pipe))
            stack.enter_context(posterior_mean(pipe.vae))
            stack.enter_context(self._prompts.used(pipe))
            stack.enter_context(unmixed(pipe.scheduler))
            stack.enter_context(cut)
            raw_call(pipe)(**known_to(pipe, arguments))
        (latents,) = taken
        return latents.detach()

    @cached_property
    def _image_to_image(self) -> Any:
        from diffusers import AutoPipelineForImage2Image  # noqa: PLC0415

        refusal = f"{type(self.pipe).__name__} has no image-to-image sibling to encode pictures by"
        try:
            sibling = AutoPipelineForImage2Image.from_pipe(self.pipe)
        except ValueError as error:
            raise ConfigError(refusal) from error
        if "strength" not in known_to(sibling, {"strength": 1.0}):
            raise ConfigError(refusal)
        sibling.set_progress_bar_config(disable=True)
        return sibling

    def levels(self, prompt: str, sampling: Sampling) -> list[float]:
        """The noise level |∂x_0 / ∂output| of each step, from one run with this prompt."""
        found: list[float] = []

        def note(step: Step) -> None:
            found.append(float(self._level(step.t)))

        self.sample([prompt], sampling, on_step=note, decode=False, seeds=[0])
        return found

    @staticmethod
    def window(levels: Sequence[float], low: float, high: float) -> list[int]:
        """Steps whose noise level is in [low, high]; ConfigError if there are none."""
        return window(levels, low, high)

    def add_lora(self, config: Lora) -> Trained:
        """Adapters that train; the rest stays frozen."""
        add_lora(self.pipe, self.name, config)
        return self.trained()

    def trained(self, state: Mapping[str, Tensor] | None = None) -> Trained:
        """What trains, for `fit`; `state` are further tensors that a run keeps."""
        return Trained(self.denoiser, state)

    @contextmanager
    def reference(self) -> Iterator[None]:
        """The pipeline as it was before tuning, inside."""
        with adapters_off(self.denoiser):
            yield

    def load_lora(self, folder: Path) -> None:
        """Put on frozen adapters from a folder: of `save_lora`, or any that diffusers loads.

        Raises ConfigError if there are none for this pipeline's denoiser.
        """
        load_lora(self.pipe, self.name, folder)

    def save_lora(self, folder: Path) -> float:
        """Write the adapters for `load_lora_weights`; gives the reload error, which is 0.

        Raises BeholderError if they do not come back.
        """
        return save_lora(self.pipe, self.name, folder)

    def _level(self, t: Tensor) -> Tensor:
        if self._noise is not None:
            return self._noise.level(t.detach())
        sigmas: Tensor = self.pipe.scheduler.sigmas
        return sigmas[self.pipe.scheduler.step_index - 1]

    def _x0(self, output: Tensor, t: Tensor, sample: Tensor, result: Any) -> Tensor:
        for name in ("pred_original_sample", "denoised"):
            if (told := getattr(result, name, None)) is not None:
                return told  # type: ignore[no-any-return]
        return self.noise.x0(output, sample, t)

    def _arguments(
        self, prompts: Sequence[str], sampling: Sampling, *, guided: bool = True
    ) -> dict[str, Any]:
        return call_arguments(self.pipe, self.quirk, prompts, sampling, guided=guided)

    @contextmanager
    def _ready(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(saturation_passed(self.pipe.image_processor))
            stack.enter_context(vae_in_its_dtype(self.pipe))
            stack.enter_context(self._prompts.used(self.pipe))
            yield

    def _call(self, arguments: Mapping[str, Any], *, decode: bool) -> Tensor:
        kind = "pt" if decode else "latent"
        images: Tensor = raw_call(self.pipe)(**arguments, output_type=kind).images
        return images if decode else self._no_pixels

    @property
    def _no_pixels(self) -> Tensor:
        return torch.empty(0, 3, 0, 0, device=self.device)
