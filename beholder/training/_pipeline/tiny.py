"""A pipeline of random weights that needs no file: for dry runs in seconds."""

from __future__ import annotations

from typing import Any

import torch

INPAINTING_CHANNELS = 16
"""Of latents that Stable Diffusion 3 repaints in; diffusers refuses others there."""


def tiny_pipeline(seed: int = 0, latent_channels: int = 4) -> Any:
    """A Stable Diffusion 3 of 96 thousand weights, 32 by 32 pixels; the same for a seed."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return joint_flow(latent_channels)


def joint_flow(latent_channels: int = 4) -> Any:
    """Its parts, with weights drawn from torch's own state: velocity, two CLIP towers, no T5."""
    from diffusers import (  # noqa: PLC0415
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=1,
        in_channels=latent_channels,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=32,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        out_channels=latent_channels,
    )
    return StableDiffusion3Pipeline(
        transformer=transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=kl_vae(latent_channels, scaling_factor=1.5, shift_factor=0.06),
        text_encoder=clip_text(projection=32),
        tokenizer=tokenizer(),
        text_encoder_2=clip_text(projection=32),
        tokenizer_2=tokenizer(),
        text_encoder_3=None,
        tokenizer_3=None,
    )


def tokenizer(length: int = 16) -> Any:
    """Letters and words of a CLIP-like tokenizer, made without files from a hub."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,-"
    vocabulary = {"<s>": 0, "</s>": 1, "<pad>": 2, "<unk>": 3}
    for letter in letters:
        for piece in (letter, f"{letter}</w>"):
            vocabulary[piece] = len(vocabulary)
    core = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", end_of_word_suffix="</w>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=length,
    )


def clip_text(width: int = 32, projection: int | None = None) -> Any:
    """A CLIP text tower; one with a projection gives pooled text too."""
    from transformers import (  # noqa: PLC0415
        CLIPTextConfig,
        CLIPTextModel,
        CLIPTextModelWithProjection,
    )

    config = CLIPTextConfig(
        vocab_size=100,
        hidden_size=width,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        projection_dim=projection or width,
    )
    kind = CLIPTextModel if projection is None else CLIPTextModelWithProjection
    return kind(config).eval()


def kl_vae(channels: int = 4, **options: Any) -> Any:
    """A VAE that halves each side; options are of diffusers' AutoencoderKL."""
    from diffusers import AutoencoderKL  # noqa: PLC0415

    return AutoencoderKL(
        block_out_channels=(8, 8),
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        norm_num_groups=4,
        **options,
    ).eval()
