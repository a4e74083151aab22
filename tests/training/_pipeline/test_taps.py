from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from beholder.training._pipeline.taps import (
    PromptMemory,
    overflows,
    posterior_mean,
    raw_call,
    replaced,
    saturation_passed,
    step_cut,
    timesteps_replaced,
    unmixed,
    vae_in_its_dtype,
)


class Encoder:
    """Counts what it encodes; gives lists, as Z-Image does."""

    def __init__(self) -> None:
        self.calls = 0

    def encode_prompt(self, prompt: Any, *, device: str = "cpu", embeds: Any = None) -> Any:
        self.calls += 1
        return [torch.full((1,), float(len(text))) for text in prompt], embeds


def test_prompts_are_encoded_once_and_their_lists_are_fresh() -> None:
    pipe, memory = Encoder(), PromptMemory()
    with memory.used(pipe):
        first, _ = pipe.encode_prompt(["a", "bcd"])
        first.append("spoiled")
        again, _ = pipe.encode_prompt(["a", "bcd"])
        assert [float(x) for x in again] == [1, 3]
        pipe.encode_prompt(["a", "bcd"], device="other")
    assert pipe.calls == 2
    pipe.encode_prompt(["a"])  # outside, it is its own again
    assert pipe.calls == 3


def test_a_few_batches_of_prompts_are_kept() -> None:
    pipe, memory = Encoder(), PromptMemory()
    with memory.used(pipe):
        for text in ("a", "b", "c", "d", "e", "e", "a"):
            pipe.encode_prompt([text])
    assert pipe.calls == 6  # "a" was dropped for "e"


def test_prompts_that_hold_tensors_are_not_kept() -> None:
    pipe, memory = Encoder(), PromptMemory()
    with memory.used(pipe):
        for _ in range(2):
            pipe.encode_prompt(["a"], embeds=[torch.zeros(1)])
    assert pipe.calls == 2


def test_encoded_prompts_have_no_graph() -> None:
    layer = nn.Linear(1, 1)

    class Own:
        def encode_prompt(self, prompt: Any) -> Any:
            return layer(torch.ones(1, 1))

    pipe = Own()
    with PromptMemory().used(pipe):
        assert not pipe.encode_prompt("a").requires_grad


def test_a_replaced_method_comes_back_and_tells_the_old_signature() -> None:
    import inspect

    owner = SimpleNamespace()
    owner.step = lambda eta=0.0: eta
    own = owner.step
    with pytest.raises(RuntimeError), replaced(owner, "step", lambda *_, **__: 5):
        assert owner.step() == 5
        assert "eta" in inspect.signature(owner.step).parameters
        raise RuntimeError
    assert owner.step is own

    encoder = Encoder()
    with replaced(encoder, "encode_prompt", lambda *_, **__: 1):
        pass
    assert "encode_prompt" not in vars(encoder)


def test_the_raw_call_is_without_no_grad() -> None:
    class Pipe:
        @torch.no_grad()
        def __call__(self) -> bool:
            return torch.is_grad_enabled()

    assert not Pipe()()
    assert raw_call(Pipe())()


class Scheduler:
    timesteps = torch.arange(3)

    def set_timesteps(self, count: int) -> None:
        self.timesteps = torch.arange(count)

    def step(self, output: Tensor, t: Tensor, sample: Tensor) -> Any:
        raise AssertionError("not reached")

    def add_noise(self, sample: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return sample + noise


def test_a_schedule_is_replaced_whatever_is_asked_for() -> None:
    scheduler = Scheduler()
    with timesteps_replaced(scheduler, torch.tensor([[7.0, 9.0]])):
        scheduler.set_timesteps(5)
        assert scheduler.timesteps.tolist() == [[7, 9]]
    scheduler.set_timesteps(2)
    assert scheduler.timesteps.tolist() == [0, 1]


def test_a_run_is_left_at_its_first_step() -> None:
    scheduler, taken = Scheduler(), []
    with step_cut(scheduler, lambda output, sample: taken.append((output, sample))):
        scheduler.step(torch.ones(1), torch.zeros(1), torch.full((1,), 2.0))
        raise AssertionError("not reached")
    assert taken == [(torch.ones(1), torch.full((1,), 2.0))]


def test_no_noise_is_mixed_in() -> None:
    scheduler = Scheduler()
    with unmixed(scheduler):
        assert scheduler.add_noise(torch.ones(1), torch.ones(1), torch.ones(1)).tolist() == [1]
    assert scheduler.add_noise(torch.ones(1), torch.ones(1), torch.ones(1)).tolist() == [2]


def test_saturated_pixels_are_clamped_but_keep_their_gradient() -> None:
    processor = SimpleNamespace(denormalize=lambda images: images)
    images = torch.tensor([-3.0, 0.0, 0.5, 7.0], requires_grad=True)
    with saturation_passed(processor):
        pixels = processor.denormalize(images)
    assert pixels.tolist() == [0, 0.5, 0.75, 1]
    pixels.sum().backward()
    assert images.grad is not None
    assert images.grad.tolist() == [0.5] * 4


class Vae(nn.Module):
    """Scales by 2, in whatever dtype it is called in."""

    def __init__(self, dtype: torch.dtype, *, upcast: bool = True) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False, dtype=dtype)
        self.config = {"force_upcast": upcast}

    @property
    def dtype(self) -> torch.dtype:
        return self.layer.weight.dtype

    def decode(self, latents: Tensor) -> Any:
        return self.layer(latents)

    def encode(self, pixels: Tensor) -> Any:
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: 5, sample=lambda: 6))


def test_the_vae_computes_in_its_own_dtype_and_is_not_cast() -> None:
    vae = Vae(torch.float32)
    with (
        torch.autocast("cpu", torch.bfloat16),
        vae_in_its_dtype(SimpleNamespace(vae=vae)),
    ):
        assert vae.decode(torch.ones(1, 1, dtype=torch.bfloat16)).dtype == torch.float32
        assert vae.to(torch.float16).dtype == torch.float32
    assert vae.to(torch.float16).dtype == torch.float16
    with vae_in_its_dtype(SimpleNamespace()):
        pass  # a pipeline without one


def test_the_mean_stands_in_for_a_draw() -> None:
    vae = Vae(torch.float32)
    with posterior_mean(vae):
        assert vae.encode(torch.ones(1)).latent_dist.sample(None) == 5
    assert vae.encode(torch.ones(1)).latent_dist.sample() == 6


def test_only_a_vae_in_float16_that_says_so_overflows() -> None:
    assert overflows(SimpleNamespace(vae=Vae(torch.float16)))
    assert not overflows(SimpleNamespace(vae=Vae(torch.float16, upcast=False)))
    assert not overflows(SimpleNamespace(vae=Vae(torch.bfloat16)))
    assert not overflows(SimpleNamespace())
