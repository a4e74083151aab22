from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

from beholder.errors import ConfigError
from beholder.training._pipeline.probe import (
    check,
    class_refusals,
    denoiser_name,
    refusals,
    trainable_scheduler,
)
from tests.training.tiny_pipelines import FAMILIES, tiny


class Driven:
    """The least that can be driven."""

    unet = object()
    image_processor = SimpleNamespace(denormalize=None)

    @torch.no_grad()
    def __call__(
        self,
        prompt: Any,
        num_inference_steps: int,
        callback_on_step_end: Any,
        output_type: str,
        latents: Any,
    ) -> None: ...

    def encode_prompt(self) -> None: ...


def test_the_least_that_is_needed_is_enough() -> None:
    assert refusals(Driven()) == []


def test_every_reason_is_told_at_once() -> None:
    class Useless:
        def __call__(self, prompt: str, latents: Any, strength: float) -> None: ...

    assert refusals(Useless()) == [
        "its __call__ is not the usual one under torch.no_grad",
        "its __call__ takes no num_inference_steps",
        "its __call__ takes no callback_on_step_end",
        "its __call__ takes no output_type",
        "it needs a picture to begin with",
        "it has no encode_prompt",
        "it has not one unet or transformer",
        "it has no image processor, as pipelines that give pictures do",
    ]
    with pytest.raises(ConfigError, match=r"Useless cannot be driven: its __call__ is .*; it has"):
        check(Useless())


def test_a_control_picture_is_told_once() -> None:
    class Controlled(Driven):
        @torch.no_grad()
        def __call__(  # type: ignore[override]
            self,
            prompt: Any,
            num_inference_steps: int,
            callback_on_step_end: Any,
            output_type: str,
            latents: Any,
            control_image: Any,
            control_guidance_start: float,
        ) -> None: ...

    assert refusals(Controlled()) == ["it needs a control picture"]


def test_two_denoisers_are_none() -> None:
    assert denoiser_name(SimpleNamespace(unet=1, transformer=None)) == "unet"
    assert denoiser_name(SimpleNamespace(unet=None, transformer=1)) == "transformer"
    assert denoiser_name(SimpleNamespace(unet=1, transformer=1)) == ""
    assert denoiser_name(SimpleNamespace()) == ""


@pytest.mark.parametrize("name", FAMILIES)
def test_no_family_is_refused(name: str) -> None:
    assert refusals(tiny(name)) == []


def test_most_text_to_image_classes_of_diffusers_can_be_driven() -> None:
    from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING

    kinds = set(AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values())
    told = {kind.__name__: class_refusals(kind) for kind in kinds}
    driven = {name for name, reasons in told.items() if not reasons}
    assert {"Lumina2Pipeline", "AuraFlowPipeline", "ChromaPipeline", "HunyuanDiTPipeline"} < driven
    assert told["PixArtSigmaPipeline"] == ["its __call__ takes no callback_on_step_end"]
    assert told["StableDiffusionControlNetPipeline"] == ["it needs a control picture"]
    assert "it has no encode_prompt" in told["KandinskyCombinedPipeline"]
    assert len(driven) >= 25, Counter(reason for reasons in told.values() for reason in reasons)


def products(scheduler: Any) -> torch.Tensor:
    found: torch.Tensor = scheduler.alphas_cumprod
    return found


@pytest.mark.parametrize(
    "kind", [PNDMScheduler, EulerDiscreteScheduler, DPMSolverMultistepScheduler]
)
def test_diffusion_gets_ddim_with_the_same_noise(kind: Any) -> None:
    own = kind(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    found = trainable_scheduler(own)
    assert isinstance(found, DDIMScheduler)
    assert not found.config.clip_sample
    torch.testing.assert_close(products(found), products(own))


def test_a_prediction_of_velocity_stays_one() -> None:
    own = EulerDiscreteScheduler(prediction_type="v_prediction", timestep_spacing="trailing")
    found = trainable_scheduler(own)
    assert found.config.prediction_type == "v_prediction"
    assert found.config.timestep_spacing == "trailing"


def test_a_number_that_was_merely_the_default_is_kept_too() -> None:
    own = PNDMScheduler()  # whose last step ends at the first noise level, DDIM's own at none
    assert not own.config.set_alpha_to_one
    assert not trainable_scheduler(own).config.set_alpha_to_one


@pytest.mark.parametrize("kind", [DPMSolverMultistepScheduler, UniPCMultistepScheduler])
def test_flow_gets_the_euler_scheduler_with_the_same_shift(kind: Any) -> None:
    own = kind(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    found = trainable_scheduler(own)
    assert isinstance(found, FlowMatchEulerDiscreteScheduler)
    assert found.config.shift == 3.0


@pytest.mark.parametrize(
    "kind", [FlowMatchEulerDiscreteScheduler, DDIMScheduler, DDPMScheduler, LCMScheduler]
)
def test_a_scheduler_that_tells_x0_is_kept(kind: Any) -> None:
    own = kind()
    assert trainable_scheduler(own) is own


def test_a_scheduler_of_neither_family_is_refused() -> None:
    with pytest.raises(ConfigError, match="EDMEulerScheduler is neither of the diffusion nor"):
        trainable_scheduler(EDMEulerScheduler())
