"""A pipeline that has learned two kinds of pictures: a fifth are red, all others blue.

Its parts are diffusers' own, of 8 by 8 pixels; a latent is the colour of 2 by 2 of them. Which kind
a picture becomes is decided at noise levels of about 0.8 to 0.6. Every algorithm must be seen to
move it to red while it still denoises what it has learned.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import diffusers
import torch
from jaxtyping import Float, Shaped
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from typing_extensions import override

from beholder.rewards import Reward, RewardCard
from beholder.training._pipeline.tiny import clip_text, tokenizer
from beholder.training.pipeline import Driver, Sampling
from beholder.types import Scores

PROMPTS = ("cat", "dog", "fox", "owl", "bee", "cow", "pig", "ant")
SAMPLING = Sampling(steps=8, guidance=0, height=8, width=8, call={"max_sequence_length": 1})
RED_SHARE = 0.2
_CONTRAST = 1.0  # latents of white and black are this and minus this
_RED = (0.5, -0.5, -0.5)
_BLUE = (-0.5, -0.5, 0.5)
_RECIPE = (1000, 64, 4e-3, 0.99)  # steps, pictures in each, learning rate, decay of the average


class Redness(Reward):
    """(1 + red - blue) / 2, mean over a picture: 1 is red, 0 is blue."""

    card: ClassVar[RewardCard] = RewardCard(
        name="redness", paper="none: for tests", score_range=(0.0, 1.0), needs_prompt=False
    )

    @override
    def preprocess(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        return pixels.float() / (1 if pixels.is_floating_point() else 255)

    @override
    def score_prepared(
        self, pixel_values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]
    ) -> Scores:
        red, _, blue = pixel_values.mean((2, 3)).unbind(1)
        return Scores((1 + red - blue) / 2)

    @override
    def options(self) -> dict[str, object]:
        return {}

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> "Redness":
        return cls()


class SteppedRedness(Redness):
    """The same in steps of 1 / 32, as a judge would give it: no gradient reaches the pixels."""

    card: ClassVar[RewardCard] = RewardCard(
        name="stepped_redness",
        paper="none: for tests",
        score_range=(0.0, 1.0),
        needs_prompt=False,
        differentiable=False,
    )

    @override
    def score_prepared(
        self, pixel_values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]
    ) -> Scores:
        total = super().score_prepared(pixel_values, prompts).total
        return Scores((total.detach() * 32).round() / 32)


def toy_pipeline() -> Any:
    """A new pipeline with the learned weights, which are kept in a file between runs of tests."""
    pipe = untrained()
    pipe.transformer.load_state_dict(load_file(_weights()))
    return pipe


def untrained() -> Any:
    """The same pipeline before it has learned anything; always the same weights."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return _parts()


def share_of_red(driver: Driver, count: int = 128, first_seed: int = 1000) -> float:
    """Share of pictures with more red than blue."""
    prompts = [PROMPTS[k % len(PROMPTS)] for k in range(count)]
    seeds = range(first_seed, first_seed + count)
    with torch.no_grad():
        pixels = driver.sample(prompts, SAMPLING, seeds=seeds).pixels
    return float((Redness()(pixels, prompts).total > 0.5).float().mean())


@torch.no_grad()
def held_out_denoising(driver: Driver, count: int = 256) -> float:
    """Denoising loss on latents of the distribution that was learned, at fixed times and noise."""
    generator = torch.Generator().manual_seed(99)
    x0 = toy_latents(count, generator)
    noise = torch.randn(x0.shape, generator=generator)
    t = driver.noise.draw(count, generator)
    prompts = [PROMPTS[k % len(PROMPTS)] for k in range(count)]
    output = driver.predict(driver.noise.mix(x0, noise, t), t, prompts, SAMPLING)
    return float(functional.mse_loss(output, driver.noise.target(x0, noise, t)))


def toy_latents(count: int, generator: torch.Generator) -> Float[Tensor, "b 4 4 4"]:
    """Latents to learn: a fifth is red; each has a shade and a grain of its own."""
    is_red = torch.rand(count, generator=generator) < RED_SHARE
    colour = torch.where(is_red[:, None], torch.tensor(_RED), torch.tensor(_BLUE))
    shade = 0.05 * torch.randn(count, 3, generator=generator)
    grain = 0.25 * torch.randn(count, 3, 4, 4, generator=generator)
    colours = (colour + shade)[:, :, None, None] + grain
    return torch.cat([colours, colours.mean(1, keepdim=True)], 1)


@cache
def _weights() -> Path:
    """Where the learned weights are; all that they are made by names them."""
    pipe = untrained()
    latents = toy_latents(8, torch.Generator().manual_seed(0))
    values = [*pipe.transformer.parameters(), *_words(pipe, PROMPTS), latents]
    made = hashlib.sha256(repr((_RECIPE, torch.__version__, diffusers.__version__)).encode())
    for tensor in values:
        made.update(tensor.detach().numpy().tobytes())
    name = f"beholder-toy-{made.hexdigest()[:16]}.safetensors"
    path = Path(tempfile.gettempdir()) / name
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}")
        save_file(_learned(), part)
        part.replace(path)
    return path


def _learned() -> dict[str, Tensor]:
    """Weights of a transformer that has learned the flow from noise to `toy_latents`."""
    pipe, (steps, _, rate, decay) = untrained(), _RECIPE
    average = AveragedModel(pipe.transformer, multi_avg_fn=get_ema_multi_avg_fn(decay))
    optimizer = torch.optim.AdamW(pipe.transformer.parameters(), lr=rate, weight_decay=0)
    schedule = OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    for loss in _losses(pipe):
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        average.update_parameters(pipe.transformer)
    return dict(average.module.state_dict())


def _losses(pipe: Any) -> Iterator[Tensor]:
    """The denoising loss at levels that are drawn evenly."""
    steps, batch, _, _ = _RECIPE
    generator = torch.Generator().manual_seed(1)
    prompts = [PROMPTS[k % len(PROMPTS)] for k in range(batch)]
    words, pooled = _words(pipe, prompts)
    for _ in range(steps):
        x0 = toy_latents(batch, generator)
        noise = torch.randn(x0.shape, generator=generator)
        level = torch.rand(batch, generator=generator)
        x_t = torch.lerp(x0, noise, level[:, None, None, None])
        output = pipe.transformer(x_t, words, pooled, 1000 * level).sample
        yield functional.mse_loss(output, noise - x0)


@torch.no_grad()
def _words(pipe: Any, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The transformer's conditions."""
    words, _, pooled, _ = pipe.encode_prompt(
        list(prompts), None, None, do_classifier_free_guidance=False, max_sequence_length=1
    )
    return words, pooled


def _parts() -> Any:
    text = {"text_encoder": clip_text(projection=32), "text_encoder_2": clip_text(projection=32)}
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=4,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=64,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        pos_embed_max_size=8,
    )
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer.eval(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=_colours(),
        tokenizer=tokenizer(5),
        tokenizer_2=tokenizer(5),
        text_encoder_3=None,
        tokenizer_3=None,
        **text,
    )


def _colours() -> Any:
    """A VAE whose latents are (2 p - 1) times `_CONTRAST`, of the mean p of 2 by 2 pixels.

    There are three, one a colour, and their mean, without which latents would look like pixels.
    """
    vae = diffusers.AutoencoderTiny(
        latent_channels=4,
        encoder_block_out_channels=(3, 3),
        decoder_block_out_channels=(3, 3),
        num_encoder_blocks=(0, 0),
        num_decoder_blocks=(0, 0),
    )
    first, halving, last = vae.encoder.layers
    _multiply(first)
    _multiply(halving)
    _multiply(last, 2 * _CONTRAST, -_CONTRAST)
    with torch.no_grad():
        halving.weight[:, :, 1:, 1:] = torch.eye(3)[:, :, None, None] / 4
        last.weight[3, :, 1, 1] = 2 * _CONTRAST / 3
    first, _, _, middle, last = vae.decoder.layers
    _multiply(first, 1, 1)  # above 0, so that the ReLU that follows changes nothing
    _multiply(middle)
    _multiply(last, 0.5 / _CONTRAST, 0.5 - 0.5 / _CONTRAST)
    return vae.eval()


@torch.no_grad()
def _multiply(convolution: torch.nn.Conv2d, factor: float = 1.0, shift: float = 0.0) -> None:
    """Make of a 3 by 3 convolution y = factor x + shift, channel by channel."""
    convolution.weight.zero_()
    convolution.weight[:3, :3, 1, 1] = factor * torch.eye(3)
    if convolution.bias is not None:
        convolution.bias.fill_(shift)
