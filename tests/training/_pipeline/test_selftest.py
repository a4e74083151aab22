import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from beholder.training._pipeline.selftest import SelfTest, self_test
from beholder.training.pipeline import Driver, Lora, Step
from tests.training.tiny_pipelines import FAMILIES, tiny, tiny_sampling

GOOD = SelfTest(
    identity_error=0.0, replay_error=1e-6, levels=(1.0, 0.6, 0.2), gradient_norms={1: 0.5, 2: 0.1}
)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_with_fresh_adapters_has_no_faults(name: str) -> None:
    driver = Driver(tiny(name))
    driver.add_lora(Lora(rank=2))
    found = self_test(driver, "a fox", tiny_sampling(name, guidance=3))
    assert found.faults() == []
    assert found.identity_error == 0
    assert found.replay_error == pytest.approx(0, abs=1e-5)
    assert len(found.levels) == 4
    assert all(0 < norm < math.inf for norm in found.gradient_norms.values())
    assert not any(w.grad is not None for w in driver.denoiser.parameters())


def test_the_gradient_is_taken_at_both_ends_of_the_window() -> None:
    driver = Driver(tiny("sd3"))
    driver.add_lora(Lora(rank=2))
    sampling = tiny_sampling("sd3", steps=6)
    levels = self_test(driver, "a", sampling).levels
    inside = [k for k, level in enumerate(levels) if 0.3 <= level <= 0.97]
    found = self_test(driver, "a", sampling, low=0.3, high=0.97)
    assert list(found.gradient_norms) == [inside[0], inside[-1]]
    nearest = self_test(driver, "a", sampling, low=2.0, high=3.0)
    assert list(nearest.gradient_norms) == [0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of numpy, at diffusers
def test_nothing_is_run_again_where_the_scheduler_scales() -> None:
    driver = Driver(tiny("sdxl"), keep_scheduler=True)
    driver.add_lora(Lora(rank=2))
    found = self_test(driver, "a", tiny_sampling("sdxl"))
    assert found.replay_error is None
    assert "difference of the denoiser run again: none" in found.lines()
    assert found.faults() == []


def test_adapters_that_no_gradient_reaches_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(tiny("sd3"))
    for _, weight in driver.add_lora(Lora(rank=2)).named_parameters():
        weight.data.zero_()  # both factors: a saddle
    assert "the gradient from step 2 is 0" in self_test(driver, "a", tiny_sampling("sd3")).faults()


def test_a_denoiser_that_does_not_come_back_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(tiny("sd3"))
    driver.add_lora(Lora(rank=2))
    own = driver.predict

    def off(x_t: Tensor, t: Tensor, *rest: object) -> Tensor:
        return own(x_t, t - 100, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(driver, "predict", off)
    (fault,) = self_test(driver, "a", tiny_sampling("sd3")).faults()
    assert fault.startswith("the denoiser, run again, differs by 0.")


def test_faults_are_what_is_over_the_limits() -> None:
    assert GOOD.faults() == []
    assert replace(GOOD, identity_error=0.2).faults() == [
        "the picture differs by 0.2 from the pipeline's"
    ]
    assert len(replace(GOOD, identity_error=math.nan, replay_error=math.nan).faults()) == 2
    assert replace(GOOD, gradient_norms={1: math.nan}).faults() == [
        "the gradient from step 1 is nan"
    ]


def test_the_lines_say_what_was_found() -> None:
    assert GOOD.lines() == [
        "difference to the pipeline's own picture: 0",
        "difference of the denoiser run again: 1e-06",
        "noise levels of the steps: 1, 0.6, 0.2",
        "gradient from step 1 (level 0.6): 0.5",
        "gradient from step 2 (level 0.2): 0.1",
    ]


def test_a_run_is_not_changed_by_the_test() -> None:
    driver = Driver(tiny("sd3"))
    driver.add_lora(Lora(rank=2))
    before = torch.get_rng_state()
    seen: list[Step] = []
    self_test(driver, "a", tiny_sampling("sd3"))
    assert torch.equal(torch.get_rng_state(), before)
    driver.sample(["a"], tiny_sampling("sd3"), seeds=[0], on_step=seen.append)
    assert len(seen) == 4
