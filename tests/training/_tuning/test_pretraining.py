import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

from beholder.errors import ConfigError, DataError
from beholder.training._tuning.pretraining import Denoising, Pretraining, denoising_of
from beholder.training.fit.processes import Processes
from beholder.training.pipeline import Driver, Lora
from tests.training._tuning.test_clean import PROMPTS, SAMPLING, pictures
from tests.training.tiny_pipelines import tiny


def of_run(folder: Path, driver: Driver, pretraining: Pretraining) -> Denoising | None:
    return denoising_of(driver, PROMPTS, SAMPLING, pretraining, folder, Processes(cpu=True), seed=0)


def latents(count: int = 4) -> Tensor:
    return torch.randn(count, 4, 16, 16, generator=torch.Generator().manual_seed(2))


def denoising(driver: Driver, count: int = 4, held_out: int = 2) -> Denoising:
    return Denoising(driver, SAMPLING, latents(count), PROMPTS + PROMPTS, held_out)


def test_the_loss_is_the_squared_error_of_the_velocity() -> None:
    driver, seed = Driver(tiny("sd3")), torch.Generator().manual_seed
    found = denoising(driver, count=2, held_out=1).loss(seed(5), 3)
    generator = torch.Generator().manual_seed(5)
    torch.randint(1, (3,), generator=generator)
    x0 = latents(2)[:1].expand(3, -1, -1, -1)
    noise = torch.randn(x0.shape, generator=generator)
    level = torch.randn(3, generator=generator).sigmoid()  # as Esser et al. (2024) draw it
    wide = level[:, None, None, None]
    x_t = (1 - wide) * x0 + wide * noise
    output = driver.predict(x_t, 1000 * level, [PROMPTS[0]] * 3, SAMPLING)
    assert found.item() == pytest.approx((output - noise + x0).square().mean().item(), rel=1e-5)


def test_the_loss_reaches_the_adapters() -> None:
    driver = Driver(tiny("sd3"))
    trained = driver.add_lora(Lora(rank=2))
    denoising(driver).loss(torch.Generator().manual_seed(0), 2).backward()
    assert sum(float(w.grad.abs().sum()) for w in trained.parameters() if w.grad is not None) > 0


def test_held_out_samples_are_never_learned() -> None:
    driver = Driver(tiny("sd3"))
    spoiled = latents()
    spoiled[2:] = torch.nan
    kept = Denoising(driver, SAMPLING, spoiled, [*PROMPTS, "a"], held_out=2)
    assert kept.loss(torch.Generator().manual_seed(0), 64).isfinite()
    assert torch.tensor(kept.measure()).isnan()


def test_measuring_gives_the_same_number_again_and_no_gradient() -> None:
    driver = Driver(tiny("sd3"))
    driver.add_lora(Lora(rank=2))
    kept = denoising(driver)
    torch.manual_seed(1)
    assert kept.measure() == kept.measure()


@pytest.mark.parametrize("held_out", [0, 4])
def test_something_is_left_to_learn_and_to_measure(held_out: int) -> None:
    with pytest.raises(DataError, match=f"{held_out} of 4 samples cannot be held out"):
        denoising(Driver(tiny("sd3")), held_out=held_out)


def test_without_weight_nothing_is_made(tmp_path: Path) -> None:
    assert of_run(tmp_path, Driver(tiny("sd3")), Pretraining()) is None
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_goes_on_learns_on_the_same_samples(tmp_path: Path) -> None:
    driver, pretraining = Driver(tiny("sd3")), Pretraining(weight=1.0, samples=3)
    first = of_run(tmp_path, driver, pretraining)
    for weight in driver.add_lora(Lora(rank=2)).parameters():
        torch.nn.init.normal_(weight, std=0.3)
    again = of_run(tmp_path, driver, pretraining)
    assert first is not None
    assert again is not None
    assert torch.equal(first._latents, again._latents)
    assert [path.name for path in (tmp_path / "prepared").iterdir()] == ["pretraining.safetensors"]


def test_pictures_that_cannot_be_read_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "pictures").mkdir()
    source = str(pictures(tmp_path / "pictures"))
    with caplog.at_level(logging.WARNING):
        kept = of_run(tmp_path, Driver(tiny("sd3")), Pretraining(weight=0.1, pictures=source))
    assert kept is not None
    assert "2 pictures of pretraining are left out (1 truncated, 1 prompt)" in caplog.text


@pytest.mark.parametrize("wrong", [{"weight": -1}, {"samples": 1}, {"batch": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Pretraining(**wrong)  # type: ignore[arg-type]
