import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from beholder.errors import ConfigError, MissingDependencyError
from beholder.training._pipeline.loading import chosen_dtype, load_pipeline
from beholder.training._pipeline.tiny import tiny_pipeline
from beholder.training.pipeline import Driver
from tests.training.tiny_pipelines import tiny, tiny_sampling

CPU = torch.device("cpu")


def load(pipeline: Any, dtype: torch.dtype = torch.float32, **options: Any) -> Driver:
    return load_pipeline(pipeline, {}, CPU, dtype, **options)


def picture(driver: Driver) -> torch.Tensor:
    return driver.sample(["a fox"], tiny_sampling("sd3"), seeds=[1]).pixels


@pytest.mark.parametrize("name", ["sd", "sd3", "flux", "sana"])
def test_a_saved_pipeline_gives_the_same_picture(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pipe = tiny(name)
    pipe.save_pretrained(tmp_path)
    capfd.readouterr()
    options = {"text_encoder_3": None, "tokenizer_3": None} if name == "sd3" else {}
    driver = load_pipeline(str(tmp_path), options, CPU, torch.float32)
    assert "%|" not in "".join(capfd.readouterr())  # no progress bars
    assert type(driver.pipe) is type(pipe)
    sampling = tiny_sampling(name, guidance=3)
    own = Driver(pipe).sample(["a fox"], sampling, seeds=[1]).pixels
    read = driver.sample(["a fox"], sampling, seeds=[1]).pixels
    torch.testing.assert_close(read, own, atol=1e-6, rtol=0)


def test_tiny_needs_no_file_and_a_function_of_ones_own_is_called() -> None:
    assert torch.equal(picture(load("tiny")), picture(Driver(tiny_pipeline())))
    own = load_pipeline("tests.training.tiny_pipelines:tiny", {"name": "sana"}, CPU, torch.float32)
    assert type(own.pipe).__name__ == "SanaPipeline"


def test_weights_are_frozen_in_the_dtype() -> None:
    driver = load(tiny("sd3"), torch.bfloat16)
    assert {w.dtype for w in driver.denoiser.parameters()} == {torch.bfloat16}
    assert driver.pipe.vae.dtype == torch.bfloat16
    assert not any(w.requires_grad for w in driver.denoiser.parameters())
    assert picture(driver).isfinite().all()


@pytest.mark.parametrize("is_saved", [False, True])
def test_a_vae_that_overflows_in_float16_stays_in_float32(is_saved: bool, tmp_path: Path) -> None:
    pipe = tiny("sdxl")
    assert pipe.vae.config.force_upcast
    if is_saved:
        pipe.save_pretrained(tmp_path)
    driver = load(str(tmp_path) if is_saved else pipe, torch.float16)
    assert (driver.denoiser.dtype, driver.pipe.vae.dtype) == (torch.float16, torch.float32)
    sampling = tiny_sampling("sdxl", guidance=3)
    pixels = driver.sample(["a fox"], sampling, seeds=[1]).pixels
    assert pixels.dtype == torch.float32
    full = Driver(tiny("sdxl")).sample(["a fox"], sampling, seeds=[1]).pixels
    assert (pixels - full).abs().max() < 0.05
    driver.encode(pixels, sampling)
    assert driver.pipe.vae.dtype == torch.float32


def test_checkpointing_and_tiling_are_turned_on() -> None:
    plain, saving = load("tiny"), load("tiny", gradient_checkpointing=True, vae_tiling=True)
    assert not plain.denoiser.gradient_checkpointing
    assert saving.denoiser.gradient_checkpointing
    assert saving.pipe.vae.decoder.gradient_checkpointing
    assert saving.pipe.vae.use_tiling
    assert torch.equal(picture(plain), picture(saving))


def test_a_vae_that_cannot_tile_is_told() -> None:
    pipe = tiny("sd3")
    pipe.vae = None
    with pytest.raises(ConfigError, match="no VAE that tiles; turn vae_tiling off"):
        load(pipe, vae_tiling=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of numpy, at diffusers
def test_the_scheduler_is_kept_if_that_is_asked_for() -> None:
    assert type(load(tiny("sdxl")).pipe.scheduler).__name__ == "DDIMScheduler"
    kept = load(tiny("sdxl"), keep_scheduler=True)
    assert type(kept.pipe.scheduler).__name__ == "EulerDiscreteScheduler"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing-here", "no pipeline at 'nothing-here'; give a folder, a hub repository"),
        ("some/where/else", "no pipeline at 'some/where/else'"),
        ("nobody/never-was", "cannot load pipeline 'nobody/never-was': "),
        ("tests.training.nowhere:tiny", "write it as module:function"),
        ("tests.training.tiny_pipelines:nothing", "write it as module:function"),
        ("torch:ones_like", "missing"),
        ("builtins:dict", "'builtins:dict' gave a dict, expected a diffusers pipeline"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(name: str, told: str) -> None:
    error = TypeError if told == "missing" else ConfigError
    with pytest.raises(error, match=told):
        load(name)


def test_a_folder_without_a_pipeline_or_without_safetensors_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no model_index.json, so it is no diffusers"):
        load(str(tmp_path))
    tiny("sd").save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(ConfigError, match="cannot load pipeline"):
        load(str(tmp_path))


def test_a_pipeline_of_another_kind_is_refused_with_reasons(tmp_path: Path) -> None:
    from diffusers import DDPMPipeline, DDPMScheduler

    DDPMPipeline(tiny("sd").unet, DDPMScheduler()).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"DDPMPipeline cannot be driven: .*takes no prompt"):
        load(str(tmp_path))


def test_without_diffusers_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingDependencyError, match="pip install diffusers"):
        load("tiny")


def test_dtypes_have_names() -> None:
    assert chosen_dtype("auto", CPU) == torch.float32
    assert chosen_dtype("bf16", CPU) == torch.bfloat16
    with pytest.raises(ConfigError, match="no dtype named 'half'; known: auto, fp32, bf16, fp16"):
        chosen_dtype("half", CPU)
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        chosen_dtype("fp16", CPU)
