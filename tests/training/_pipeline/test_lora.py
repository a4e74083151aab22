from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from beholder.errors import BeholderError, ConfigError
from beholder.training._pipeline.lora import (
    Lora,
    Trained,
    add_lora,
    load_lora,
    reload_error,
    save_lora,
)
from beholder.training.pipeline import Driver
from tests.training.tiny_pipelines import tiny, tiny_sampling

FILE = "pytorch_lora_weights.safetensors"


def tuned(dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """A tiny SD3 pipeline whose adapters do something."""
    pipe = tiny("sd3")
    pipe.transformer.to(dtype)
    pipe.transformer.requires_grad_(requires_grad=False)
    add_lora(pipe, "transformer", Lora(rank=2, **options))
    for _, weight in Trained(pipe.transformer).named_parameters():
        nn.init.normal_(weight, std=0.1)
    return pipe


def test_fresh_adapters_change_nothing_and_alone_can_train() -> None:
    driver = Driver(tiny("sd3"))
    before = driver.sample(["a"], tiny_sampling("sd3"), seeds=[1]).pixels
    trained = driver.add_lora(Lora(rank=3))
    assert torch.equal(driver.sample(["a"], tiny_sampling("sd3"), seeds=[1]).pixels, before)
    names = [n for n, w in driver.denoiser.named_parameters() if w.requires_grad]
    assert names == [n for n, _ in trained.named_parameters()]
    assert all("lora_" in name for name in names)
    assert {w.shape[0 if "lora_A" in n else 1] for n, w in trained.named_parameters()} == {3}


def test_text_attends_too_where_it_is_attended_to() -> None:
    pipe = tuned()
    names = {n.split(".")[3] for n, _ in Trained(pipe.transformer).named_parameters()}
    assert names >= {"to_q", "to_out", "add_q_proj", "add_v_proj"}
    chosen = tuned(targets=("to_q",))
    names = {n.split(".")[3] for n, _ in Trained(chosen.transformer).named_parameters()}
    assert names == {"to_q"}


def test_what_trains_is_a_module_with_the_state_of_a_run() -> None:
    pipe = tuned()
    old = {"old": torch.ones(2)}
    trained = Trained(pipe.transformer, old)
    assert [name for name, _ in trained.named_buffers()] == ["old"]
    trained.train()
    assert not pipe.transformer.training


@pytest.mark.parametrize("alpha", [0.0, 16.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_saved_adapters_come_back_exactly_and_the_pipeline_is_as_before(
    alpha: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    pipe = tuned(dtype, alpha=alpha)
    before = {n: w.clone() for n, w in Trained(pipe.transformer).named_parameters()}
    assert {weight.dtype for weight in before.values()} == {torch.float32}
    assert save_lora(pipe, "transformer", tmp_path) == 0
    after = dict(Trained(pipe.transformer).named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert set(pipe.transformer.peft_config) == {"default"}
    assert load_file(tmp_path / FILE).keys()


def test_a_file_that_lost_its_scale_is_caught(tmp_path: Path) -> None:
    pipe = tuned(alpha=16)
    save_lora(pipe, "transformer", tmp_path)
    save_file(load_file(tmp_path / FILE), tmp_path / FILE)  # without the metadata
    # read back with alpha = rank, a scale of 1 instead of 8
    assert reload_error(pipe, "transformer", tmp_path) > 0.01


def test_a_file_that_lacks_a_layer_is_caught(tmp_path: Path) -> None:
    pipe = tuned()
    save_lora(pipe, "transformer", tmp_path)
    layers = load_file(tmp_path / FILE)
    kept = {name: value for name, value in layers.items() if ".to_q." not in name}
    assert len(kept) < len(layers)
    save_file(kept, tmp_path / FILE)
    assert reload_error(pipe, "transformer", tmp_path) == float("inf")


def test_saving_what_does_not_come_back_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tuned()
    monkeypatch.setattr("beholder.training._pipeline.lora.reload_error", lambda *_: 0.5)
    with pytest.raises(BeholderError, match=r"does not load back: it differs by 0\.5"):
        save_lora(pipe, "transformer", tmp_path)


def test_loaded_adapters_act_and_do_not_train(tmp_path: Path) -> None:
    pipe = tuned()
    save_lora(pipe, "transformer", tmp_path)
    fresh = Driver(tiny("sd3"))
    base = fresh.sample(["a"], tiny_sampling("sd3"), seeds=[1]).pixels
    fresh.load_lora(tmp_path)
    assert not any(weight.requires_grad for weight in fresh.denoiser.parameters())
    pixels = fresh.sample(["a"], tiny_sampling("sd3"), seeds=[1]).pixels
    own = Driver(pipe).sample(["a"], tiny_sampling("sd3"), seeds=[1]).pixels
    torch.testing.assert_close(pixels, own, atol=1e-5, rtol=0)
    with fresh.reference():
        again = fresh.sample(["a"], tiny_sampling("sd3"), seeds=[1]).pixels
    assert torch.equal(again, base)


def test_a_lora_that_is_not_there_or_of_another_pipeline_is_refused(tmp_path: Path) -> None:
    pipe = tiny("sd3")
    with pytest.raises(ConfigError, match=r"no LoRA at .*nowhere; give a folder with pytorch_lora"):
        load_lora(pipe, "transformer", tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="cannot load the LoRA in"):
        load_lora(pipe, "transformer", tmp_path)
    save_file({"unet.a.lora_A.weight": torch.ones(1, 1)}, tmp_path / FILE)
    with pytest.raises(
        ConfigError, match=r"no layer of SD3Transformer2DModel|cannot load the LoRA"
    ):
        load_lora(pipe, "transformer", tmp_path)


def test_adapters_that_could_not_be_used_are_refused() -> None:
    pipe = tuned()
    with pytest.raises(ConfigError, match="carries adapters already; fuse them first"):
        add_lora(pipe, "transformer", Lora())
    with pytest.raises(ConfigError, match="SD3Transformer2DModel has no layer to_z; name lora"):
        add_lora(tiny("sd3"), "transformer", Lora(targets=("to_z",)))

    class Unable:
        transformer = nn.Linear(1, 1)

    with pytest.raises(ConfigError, match="Unable cannot load LoRA weights"):
        add_lora(Unable(), "transformer", Lora())
    with pytest.raises(ConfigError, match="rank"):
        Lora(rank=0)
