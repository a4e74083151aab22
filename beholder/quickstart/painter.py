"""A small text-to-image pipeline, trained from scratch on the quickstart's pictures in minutes.

Its parts are diffusers' own: a tiny autoencoder (64 pixels to 16 by 16 latents), a unet of less
than a million weights that predicts velocity, and a text tower that knows the words of the prompts.
It learns good pictures and bad ones alike, in the shares in which they come, so that a reward can
move it. Nothing is downloaded, and `from_pretrained` loads what is written.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from beholder.quickstart.scenes import Pixels
from beholder.training.pipeline import Sampling

SIDE = 64
"""Height and width of what it draws, in pixels."""
SAMPLING = Sampling(steps=16, guidance=0, height=SIDE, width=SIDE)
_LATENTS, _FACTOR, _LENGTH, _WIDTH = 8, 4, 20, 64
_CONTROL = ("<s>", "</s>", "<unk>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Painting:
    """How long it learns; the default takes some seven minutes of one core.

    Attributes:
        autoencoder_steps, steps: of the autoencoder, and of unet and text tower.
        batch: pictures in a step.
        learning_rate: of unet and text tower at its highest.
        average: decay of the running average of their weights, which is kept.
    """

    autoencoder_steps: int = 600
    steps: int = 1300
    batch: int = 16
    learning_rate: float = 3e-3
    average: float = 0.998


def train_painter(
    manifest: Path,
    out: Path,
    painting: Painting,
    *,
    seed: int,
    progress: Callable[[int], object] = lambda count: None,
) -> Path:
    """The folder of the trained pipeline; `progress` is called with 1 after each step.

    `manifest` is a CSV with columns image, relative to it, and prompt. The same seed gives the
    same weights on the same machine.
    """
    pixels, prompts = _read(manifest)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        pipe = build(prompts)
        generator = torch.Generator().manual_seed(seed)
        _learn_latents(pipe.vae, pixels, painting, generator, progress)
        _learn_pictures(pipe, pixels, prompts, painting, generator, progress)
    partial = out.with_name(f".{out.name}.partial")
    pipe.save_pretrained(partial)
    partial.rename(out)
    return out


def build(prompts: Sequence[str]) -> Any:
    """The pipeline with weights drawn from torch's own state, and the words of the prompts."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline  # noqa: PLC0415

    tokenizer = _tokenizer(prompts)
    scheduler = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        steps_offset=1,  # of no effect, but diffusers insists
        clip_sample=False,
    )
    return StableDiffusionPipeline(
        vae=_autoencoder(),
        text_encoder=_text(len(tokenizer)),
        tokenizer=tokenizer,
        unet=_unet(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _autoencoder() -> Any:
    from diffusers import AutoencoderTiny  # noqa: PLC0415

    return AutoencoderTiny(
        encoder_block_out_channels=(32, 32, 32),
        decoder_block_out_channels=(32, 32, 32),
        num_encoder_blocks=(0, 0, 1),
        num_decoder_blocks=(1, 1, 0),
        latent_channels=_LATENTS,
    )


def _text(words: int) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel  # noqa: PLC0415

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=words,
            hidden_size=_WIDTH,
            intermediate_size=2 * _WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=_LENGTH,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
            projection_dim=_WIDTH,
        )
    )


def _unet() -> Any:
    from diffusers import UNet2DConditionModel  # noqa: PLC0415

    return UNet2DConditionModel(
        sample_size=SIDE // _FACTOR,
        in_channels=_LATENTS,
        out_channels=_LATENTS,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def _tokenizer(prompts: Sequence[str]) -> Any:
    """Whole words of the prompts."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    words = sorted({word for prompt in prompts for word in prompt.lower().split()})
    known = {word: number for number, word in enumerate([*_CONTROL, *words])}
    core = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        unk_token="<unk>",
        model_max_length=_LENGTH,
    )


def _read(manifest: Path) -> tuple[Tensor, list[str]]:
    """Pixels (n, 3, h, w) in [-1, 1], and prompts."""
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    pictures = [_shrunk(manifest.parent / row["image"]) for row in rows]
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels, [row["prompt"] for row in rows]


def _shrunk(path: Path) -> Pixels:
    return np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))


def _learn_latents(
    vae: Any,
    pixels: Tensor,
    painting: Painting,
    generator: torch.Generator,
    progress: Callable[[int], object],
) -> None:
    """Pictures from latents of mean 0 and deviation 1; half of each side at a time."""
    optimizer = torch.optim.Adam(vae.parameters(), lr=2e-3, betas=(0.9, 0.99))
    half = SIDE // 2
    for step in range(painting.autoencoder_steps):
        _set_rate(optimizer, 2e-3, step, painting.autoencoder_steps)
        rows = torch.randint(len(pixels), (painting.batch,), generator=generator)
        top, left = torch.randint(half + 1, (2,), generator=generator).tolist()
        x = pixels[rows, :, top : top + half, left : left + half]
        z = vae.encode(x).latents
        spread = z.mean((0, 2, 3)).square().mean() + (z.var((0, 2, 3)) - 1).square().mean()
        noise = torch.randn(z.shape, generator=generator)
        error = vae.decode(z + 0.05 * noise).sample - x
        loss = error.abs().mean() + error.square().mean() + 0.02 * spread
        _update(optimizer, loss, vae.parameters())
        progress(1)


def _learn_pictures(
    pipe: Any,
    pixels: Tensor,
    prompts: Sequence[str],
    painting: Painting,
    generator: torch.Generator,
    progress: Callable[[int], object],
) -> None:
    """Unet and text tower from noised latents of pictures and their mirror images."""
    latents = _encoded(pipe.vae, pixels)
    tokens = pipe.tokenizer(
        list(prompts), padding="max_length", max_length=_LENGTH, return_tensors="pt"
    ).input_ids
    parts = nn.ModuleDict({"unet": pipe.unet, "text": pipe.text_encoder}).train()
    nn.init.normal_(pipe.text_encoder.get_input_embeddings().weight, std=0.5)
    weights = list(parts.parameters())
    average = [w.detach().clone() for w in weights]
    optimizer = torch.optim.AdamW(weights, lr=painting.learning_rate, betas=(0.9, 0.99))
    for step in range(painting.steps):
        _set_rate(optimizer, painting.learning_rate, step, painting.steps)
        rows = torch.randint(len(pixels), (painting.batch,), generator=generator)
        sides = torch.randint(2, (painting.batch,), generator=generator)
        loss = _denoising(pipe, latents[rows, sides], tokens[rows], generator)
        _update(optimizer, loss, weights)
        decay = min(painting.average, (2 + step) / (11 + step))
        torch._foreach_lerp_(average, [w.detach() for w in weights], 1 - decay)
        progress(1)
    with torch.no_grad():
        for weight, value in zip(weights, average, strict=True):
            weight.copy_(value)
    parts.eval()


@torch.no_grad()
def _encoded(vae: Any, pixels: Tensor) -> Tensor:
    """Latents (n, 2, …) of pictures and their mirror images."""
    both = torch.stack([pixels, pixels.flip(3)], 1)
    return torch.cat([vae.encode(two).latents[None] for two in both])


def _denoising(pipe: Any, z: Tensor, tokens: Tensor, generator: torch.Generator) -> Tensor:
    """The squared error of the velocity at random times."""
    t = torch.randint(1000, (len(z),), generator=generator)
    noise = torch.randn(z.shape, generator=generator)
    scheduler = pipe.scheduler
    x_t, target = scheduler.add_noise(z, noise, t), scheduler.get_velocity(z, noise, t)
    states = pipe.text_encoder(tokens).last_hidden_state
    output: Tensor = pipe.unet(x_t, t, encoder_hidden_states=states).sample
    error: Tensor = (output - target).square().mean()
    return error


def _set_rate(optimizer: torch.optim.Optimizer, rate: float, step: int, steps: int) -> None:
    """Up over 30 steps, then down as a cosine."""
    factor = min(1.0, (step + 1) / 30) * max(0.02, 0.5 + 0.5 * math.cos(math.pi * step / steps))
    for group in optimizer.param_groups:
        group["lr"] = rate * factor


def _update(optimizer: torch.optim.Optimizer, loss: Tensor, weights: Any) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
