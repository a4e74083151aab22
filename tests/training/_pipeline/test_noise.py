import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler

from beholder.errors import ConfigError
from beholder.training._pipeline.noise import Diffusion, Flow, Noise, noise_of, window

KINDS = ("epsilon", "v_prediction", "sample")


def diffusion(kind: str = "epsilon") -> Diffusion:
    return Diffusion(DDIMScheduler(prediction_type=kind))


def every_noise() -> list[Noise]:
    return [*map(diffusion, KINDS), Flow(FlowMatchEulerDiscreteScheduler())]


def latents(seed: int) -> torch.Tensor:
    return torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(seed))


def test_diffusion_keeps_the_variance_and_flow_goes_straight() -> None:
    t = torch.tensor([0, 400, 999])
    alpha, sigma = diffusion().coefficients(t)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(3))
    alpha, sigma = Flow(FlowMatchEulerDiscreteScheduler()).coefficients(t)
    assert alpha.tolist() == pytest.approx([1.0, 0.6, 0.001], rel=1e-4)
    assert sigma.tolist() == pytest.approx([0.0, 0.4, 0.999])


def test_mixing_by_hand() -> None:
    x0, noise = torch.full((1, 2), 3.0), torch.full((1, 2), -1.0)
    mixed = Flow(FlowMatchEulerDiscreteScheduler()).mix(x0, noise, torch.tensor([250]))
    assert mixed.tolist() == [[2.0, 2.0]]  # 0.75 · 3 - 0.25 · 1
    own = DDIMScheduler()
    torch.testing.assert_close(
        Diffusion(own).mix(x0, noise, torch.tensor([250])),
        own.add_noise(x0, noise, torch.tensor([250])),
    )


@pytest.mark.parametrize("noise", every_noise(), ids=[*KINDS, "flow"])
def test_a_perfect_output_stands_for_the_clean_latents(noise: Noise) -> None:
    x0, drawn, t = latents(0), latents(1), torch.tensor([20, 500, 900])
    x_t = noise.mix(x0, drawn, t)
    torch.testing.assert_close(
        noise.x0(noise.target(x0, drawn, t), x_t, t), x0, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("noise", every_noise(), ids=[*KINDS, "flow"])
def test_the_level_is_what_x0_feels_of_the_output(noise: Noise) -> None:
    t = torch.tensor([20, 500, 900])
    output = latents(2).requires_grad_()
    noise.x0(output, latents(3), t).sum().backward()
    assert output.grad is not None
    torch.testing.assert_close(output.grad.abs()[:, 0, 0, 0], noise.level(t))


def test_a_step_of_ddim_tells_the_same_x0() -> None:
    for kind in KINDS:
        scheduler = DDIMScheduler(prediction_type=kind, clip_sample=False)
        scheduler.set_timesteps(10)
        x_t, output = latents(4), latents(5)
        told = scheduler.step(output, 501, x_t).pred_original_sample
        torch.testing.assert_close(Diffusion(scheduler).x0(output, x_t, torch.tensor([501])), told)


def test_flow_draws_logit_normal_times_and_diffusion_even_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    t = Flow(FlowMatchEulerDiscreteScheduler()).draw(20_000, generator)
    assert 0 < float(t.min()) < float(t.max()) < 1000
    logit = torch.logit(t / 1000)
    assert float(logit.mean()) == pytest.approx(0, abs=0.03)
    assert float(logit.std()) == pytest.approx(1, abs=0.03)
    t = diffusion().draw(20_000, generator)
    assert (int(t.min()), int(t.max())) == (0, 999)
    assert float(t.double().mean()) == pytest.approx(499.5, abs=8)


def test_schedulers_that_scale_their_latents_have_no_noise() -> None:
    assert noise_of(EulerDiscreteScheduler()) is None
    assert isinstance(noise_of(FlowMatchEulerDiscreteScheduler()), Flow)
    assert isinstance(noise_of(DDIMScheduler()), Diffusion)


def test_a_prediction_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="predicts 'x', which is not known"):
        diffusion("x")


def test_a_window_holds_both_its_ends() -> None:
    assert window([0.8, 0.65, 0.4, 0.15, 0.1], 0.15, 0.65) == [1, 2, 3]
