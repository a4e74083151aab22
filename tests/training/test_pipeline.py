"""The driver is the pipeline, on seven families: what it gives, and the gradients it adds."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from beholder.errors import ConfigError
from beholder.training.pipeline import Driver, Lora, Sampling, Step, swapped
from tests.training.tiny_pipelines import FAMILIES, tiny, tiny_sampling

PROMPTS, SEEDS = ["a red fox", "an old clock"], [3, 11]
families = pytest.mark.parametrize("name", FAMILIES)
with_sibling = pytest.mark.parametrize("name", [name for name in FAMILIES if name != "sana"])


def guided(name: str) -> Sampling:
    return tiny_sampling(name, guidance=3.0)


def unguided(name: str) -> Sampling:
    return tiny_sampling(name, guidance=0)


def tuned(name: str, alpha: float = 0) -> tuple[Driver, dict[str, Tensor]]:
    """A driver whose adapters do something, and their weights."""
    driver = Driver(tiny(name))
    trained = driver.add_lora(Lora(rank=2, alpha=alpha))
    weights = dict(trained.named_parameters())
    generator = torch.Generator().manual_seed(5)
    for weight in weights.values():
        weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    return driver, dict(weights)


def all_steps(driver: Driver, sampling: Sampling) -> list[Step]:
    kept: list[Step] = []
    driver.sample(PROMPTS, sampling, seeds=SEEDS, on_step=kept.append, decode=False)
    return kept


@families
def test_a_driven_picture_is_the_pipelines_own_to_the_bit(name: str) -> None:
    driver, sampling = Driver(tiny(name)), guided(name)
    negative = {"negative_prompt": [" ", " "]} if name in {"flux", "qwen"} else {}
    own = driver.pipe(
        prompt=PROMPTS,
        height=32,
        width=32,
        num_inference_steps=4,
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        output_type="pt",
        **{"true_cfg_scale" if negative else "guidance_scale": 3.0},
        **negative,
        **sampling.call,
    ).images
    driver.add_lora(Lora(rank=2))  # which gradients need
    assert torch.equal(driver.own_call(PROMPTS, sampling, seeds=SEEDS), own)
    for grad_from in (None, 3):
        run = driver.sample(PROMPTS, sampling, seeds=SEEDS, grad_from=grad_from)
        assert run.pixels.requires_grad == (grad_from is not None)
        assert torch.equal(run.pixels, own)
    whole = driver.sample(PROMPTS, sampling, seeds=SEEDS, grad_from=0).pixels
    # with gradients through all steps, FLUX may compute attention by another kernel
    assert (whole - own).abs().max() <= (1e-6 if name == "flux" else 0)


@families
def test_guidance_changes_the_picture(name: str) -> None:
    driver = Driver(tiny(name))
    with_it, without = (
        driver.sample(PROMPTS, sampling, seeds=SEEDS).pixels
        for sampling in (guided(name), unguided(name))
    )
    assert (with_it - without).abs().max() > 1e-4


@families
def test_decoding_a_runs_latents_gives_its_pixels(name: str) -> None:
    driver = Driver(tiny(name))
    run = driver.sample(PROMPTS, guided(name), seeds=SEEDS)
    assert torch.equal(driver.decode(run.latents, guided(name)), run.pixels)
    unseen = driver.sample(PROMPTS, guided(name), seeds=SEEDS, decode=False)
    assert torch.equal(unseen.latents, run.latents)
    assert unseen.pixels.numel() == 0


@families
def test_the_denoiser_run_again_gives_every_step_of_a_run(name: str) -> None:
    driver, _ = tuned(name)
    steps = all_steps(driver, unguided(name))
    assert len(steps) == 4
    for step in steps:
        again = driver.predict(step.sample, step.t.expand(2), PROMPTS, guided(name))
        torch.testing.assert_close(again.detach(), step.output, atol=1e-5, rtol=0)


@families
def test_each_picture_may_have_its_own_time(name: str) -> None:
    driver, _ = tuned(name)
    early, *_, late = all_steps(driver, unguided(name))
    x_t = torch.stack([early.sample[0], late.sample[1]])
    t = torch.stack([early.t, late.t])
    output = driver.predict(x_t, t, PROMPTS, unguided(name)).detach()
    wanted = torch.stack([early.output[0], late.output[1]])
    torch.testing.assert_close(output, wanted, atol=1e-5, rtol=0)


@families
def test_a_picture_depends_on_its_seed_not_on_its_neighbours(name: str) -> None:
    driver, sampling = Driver(tiny(name)), guided(name)
    both = driver.sample(PROMPTS, sampling, seeds=SEEDS).pixels
    alone = driver.sample(PROMPTS[1:], sampling, seeds=SEEDS[1:]).pixels
    torch.testing.assert_close(alone[0], both[1], atol=1e-5, rtol=0)
    other = driver.sample(PROMPTS[1:], sampling, seeds=[4]).pixels
    assert (other - alone).abs().max() > 1e-2


@families
def test_noise_that_is_given_stands_in_for_the_seed(name: str) -> None:
    driver, sampling = Driver(tiny(name)), unguided(name)
    (first, *_) = all_steps(driver, sampling)
    run = driver.sample(PROMPTS, sampling, latents=first.sample)
    assert torch.equal(run.pixels, driver.sample(PROMPTS, sampling, seeds=SEEDS).pixels)


@families
def test_what_is_given_back_after_a_step_is_gone_on_with(name: str) -> None:
    driver, sampling = Driver(tiny(name)), guided(name)
    kept = all_steps(driver, sampling)
    again = driver.sample(
        PROMPTS,
        sampling,
        seeds=[0, 0],  # other noise, which the replacement makes up for
        on_step=lambda step: kept[1].following.double() if step.index == 1 else None,
    )
    assert torch.equal(again.pixels, driver.sample(PROMPTS, sampling, seeds=SEEDS).pixels)


@families
def test_stopping_decodes_the_x0_of_that_step(name: str) -> None:
    driver, sampling = Driver(tiny(name)), guided(name)
    seen: list[Step] = []
    run = driver.sample(PROMPTS, sampling, seeds=SEEDS, stop_at=1, on_step=seen.append)
    assert [step.index for step in seen] == [0, 1]
    assert torch.equal(run.latents, seen[1].x0)
    assert torch.equal(run.pixels, driver.decode(seen[1].x0, sampling))


@pytest.mark.parametrize("name", ["sd3", "flux", "qwen", "sana", "zimage"])
def test_the_x0_of_the_last_step_of_a_flow_is_the_picture(name: str) -> None:
    driver, sampling = Driver(tiny(name)), guided(name)
    stopped = driver.sample(PROMPTS, sampling, seeds=SEEDS, stop_at=3).pixels
    whole = driver.sample(PROMPTS, sampling, seeds=SEEDS).pixels
    torch.testing.assert_close(stopped, whole, atol=1e-5, rtol=0)


@families
def test_steps_that_a_run_has_not_are_refused(name: str) -> None:
    driver, sampling = Driver(tiny(name)), unguided(name)
    for stop_at, grad_from in ((4, None), (None, 5), (-1, None), (None, -1), (1, 3)):
        with pytest.raises(ConfigError, match=r"the run has \d steps"):
            driver.sample(PROMPTS[:1], sampling, stop_at=stop_at, grad_from=grad_from)


def slope(driver: Driver, sampling: Sampling, stop_at: int | None) -> tuple[float, float]:
    """|gradient| from step 2 on, and the slope along it by central differences.

    Both are of what the steps from 2 on do: what comes before is held.
    """
    weights = dict(driver.trained().named_parameters())
    held = all_steps(driver, sampling)[1].following
    run = driver.sample(PROMPTS, sampling, seeds=SEEDS, grad_from=2, stop_at=stop_at)
    inside = ((run.pixels - 0.5).abs() < 0.45).detach()  # gradients pass where pictures saturate
    scales = torch.linspace(-1, 1, run.pixels[0].numel()).reshape(run.pixels[0].shape)

    def functional(pixels: Tensor) -> Tensor:
        return (pixels * scales * inside).double().sum()

    gradients = torch.autograd.grad(
        functional(run.pixels), list(weights.values()), allow_unused=True
    )
    found = {n: g for n, g in zip(weights, gradients, strict=True) if g is not None}
    size = torch.stack([g.double().square().sum() for g in found.values()]).sum().sqrt()

    def moved(distance: float) -> float:
        shift = {n: distance * g / size for n, g in found.items()}
        others = {n: w.detach() + shift.get(n, 0) for n, w in weights.items()}
        with swapped(weights, others):
            pixels = driver.sample(
                PROMPTS,
                sampling,
                seeds=SEEDS,
                stop_at=stop_at,
                on_step=lambda step: held if step.index == 1 else None,
            ).pixels
        return float(functional(pixels))

    return float(size), (moved(0.01) - moved(-0.01)) / 0.02


@families
@pytest.mark.parametrize("stop_at", [2, None])
def test_the_gradient_is_the_slope(name: str, stop_at: int | None) -> None:
    driver, _ = tuned(name)
    gradient, difference = slope(driver, guided(name), stop_at)
    assert gradient > 1e-2
    assert difference == pytest.approx(gradient, rel=0.02)


@families
def test_checkpointed_activations_give_the_same_gradient(name: str) -> None:
    driver, weights = tuned(name)

    def gradients() -> list[Tensor | None]:
        run = driver.sample(PROMPTS, guided(name), seeds=SEEDS, grad_from=2)
        return list(
            torch.autograd.grad(run.pixels.sum(), list(weights.values()), allow_unused=True)
        )

    before = gradients()
    driver.denoiser.enable_gradient_checkpointing()
    for one, other in zip(before, gradients(), strict=True):
        assert (one is None) == (other is None)
        assert one is None or other is None or torch.equal(one, other)


@families
def test_the_reference_is_the_base_to_the_bit_and_may_lie_before_a_backward(name: str) -> None:
    base = Driver(tiny(name)).sample(PROMPTS, guided(name), seeds=SEEDS).pixels
    driver, weights = tuned(name)
    run = driver.sample(PROMPTS, guided(name), seeds=SEEDS, grad_from=3)
    assert (run.pixels - base).abs().max() > 1e-3
    with driver.reference():
        assert torch.equal(driver.sample(PROMPTS, guided(name), seeds=SEEDS).pixels, base)
    run.pixels.sum().backward()
    assert any(weight.grad is not None for weight in weights.values())
    again = driver.sample(PROMPTS, guided(name), seeds=SEEDS).pixels
    assert torch.equal(again, run.pixels)


def test_swapped_weights_come_back() -> None:
    driver, weights = tuned("sd3")
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    own = driver.sample(PROMPTS, guided("sd3"), seeds=SEEDS).pixels
    with swapped(weights, {name: torch.zeros_like(weight) for name, weight in weights.items()}):
        zero = driver.sample(PROMPTS, guided("sd3"), seeds=SEEDS).pixels
    with driver.reference():
        assert torch.equal(driver.sample(PROMPTS, guided("sd3"), seeds=SEEDS).pixels, zero)
    assert all(torch.equal(weights[name], value) for name, value in before.items())
    assert torch.equal(driver.sample(PROMPTS, guided("sd3"), seeds=SEEDS).pixels, own)


@families
@pytest.mark.parametrize("alpha", [0.0, 8.0])
def test_a_fresh_pipeline_with_the_saved_lora_gives_the_tuned_picture(
    name: str, alpha: float, tmp_path: Path
) -> None:
    driver, weights = tuned(name, alpha)
    assert driver.save_lora(tmp_path) == 0
    tuned_picture = driver.sample(PROMPTS, guided(name), seeds=SEEDS).pixels
    fresh = tiny(name)
    fresh.load_lora_weights(tmp_path)
    again = Driver(fresh)
    loaded = {
        path.replace(".default_0.", ".default."): weight
        for path, weight in again.denoiser.named_parameters()
        if ".default_0." in path
    }
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[path], weight) for path, weight in weights.items())
    pixels = again.sample(PROMPTS, guided(name), seeds=SEEDS).pixels
    torch.testing.assert_close(pixels, tuned_picture, atol=1e-5, rtol=0)


@with_sibling
def test_encoding_then_decoding_is_the_vaes_own_way_and_back(name: str) -> None:
    driver, sampling = Driver(tiny(name)), guided(name)
    pixels = driver.sample(PROMPTS, sampling, seeds=SEEDS).pixels
    latents = driver.encode(pixels, sampling)
    assert not latents.requires_grad
    vae, picture = driver.pipe.vae, 2 * pixels - 1
    with torch.no_grad():
        if name == "qwen":  # whose VAE takes films
            film = vae.decode(vae.encode(picture[:, :, None]).latent_dist.mode()).sample
            back = film[:, :, 0]
        else:
            back = vae.decode(vae.encode(picture).latent_dist.mode()).sample
    wanted = (back / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(driver.decode(latents, sampling), wanted, atol=1e-5, rtol=0)


def test_latents_of_pictures_are_scaled_and_shifted_as_the_family_says() -> None:
    for name, shift, scale in (("sd", 0.0, 0.18215), ("sd3", 0.06, 1.5)):
        driver = Driver(tiny(name))
        pixels = torch.rand(2, 3, 32, 32)
        mean = driver.pipe.vae.encode(2 * pixels - 1).latent_dist.mean
        latents = driver.encode(pixels, unguided(name))
        torch.testing.assert_close(latents, (mean.detach() - shift) * scale)


def test_a_family_without_a_sibling_says_that_it_cannot_encode() -> None:
    with pytest.raises(ConfigError, match="SanaPipeline has no image-to-image sibling"):
        Driver(tiny("sana")).encode(torch.rand(1, 3, 32, 32), unguided("sana"))


def test_levels_are_those_of_the_schedule() -> None:
    flow = Driver(tiny("sd3")).levels("a", tiny_sampling("sd3"))
    # shift 3 of 4 even levels from 1 to 0.003 (already shifted once: 3/1000 → 0.003)
    s = [1 - k * (1 - 0.0029940119760479) / 3 for k in range(4)]
    assert flow == pytest.approx([3 * v / (1 + 2 * v) for v in s], rel=1e-4)
    diffusion = Driver(tiny("sd"))
    products = diffusion.pipe.scheduler.alphas_cumprod[[751, 501, 251, 1]]
    assert diffusion.levels("a", tiny_sampling("sd")) == pytest.approx(
        ((1 - products) / products).sqrt().tolist(), rel=1e-5
    )


def test_a_window_without_steps_tells_the_levels_that_there_are() -> None:
    assert Driver.window([0.9, 0.6, 0.3, 0.01], 0.15, 0.65) == [1, 2]
    with pytest.raises(ConfigError, match=r"no step has a noise level in \[0.4, 0.5\].* 0.9, 0.6"):
        Driver.window([0.9, 0.6, 0.3, 0.01], 0.4, 0.5)


def test_every_weight_is_frozen_and_the_safety_checker_gone() -> None:
    pipe = tiny("sd")
    pipe.safety_checker = torch.nn.Linear(1, 1)
    driver = Driver(pipe)
    assert driver.pipe.safety_checker is None
    assert not any(w.requires_grad for w in driver.denoiser.parameters())
    assert not driver.pipe.text_encoder.training


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of numpy, at diffusers
def test_a_kept_scheduler_tells_its_levels_and_refuses_chosen_times() -> None:
    driver = Driver(tiny("sdxl"), keep_scheduler=True)
    levels = driver.levels("a", guided("sdxl"))
    assert levels == pytest.approx(driver.pipe.scheduler.sigmas[:4].tolist())
    assert not driver.can_predict
    with pytest.raises(ConfigError, match="EulerDiscreteScheduler scales its latents"):
        driver.predict(torch.rand(1, 4, 16, 16), torch.tensor([5]), ["a"], guided("sdxl"))
