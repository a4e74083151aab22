"""Pipelines of published sizes with random weights: what a step costs does not depend on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from beholder.training._pipeline.tiny import tokenizer

_LARGE = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}
_BASE = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
_SMALL = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 64,
}


def small() -> Any:
    """A unet of some millions of weights at 128 pixels, for CPUs."""
    unet = {
        "block_out_channels": (64, 128),
        "layers_per_block": 1,
        "sample_size": 32,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 64,
        "attention_head_dim": 8,
    }
    return _diffusion(unet, _SMALL, (32, 64, 64))


def sd15() -> Any:
    """Stable Diffusion 1.5: a unet of 860 million weights, 512 pixels."""
    unet = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
    return _diffusion(unet, _BASE, (128, 256, 512, 512))


def sdxl() -> Any:
    """SDXL: a unet of 2.6 billion weights, two text towers, 1024 pixels."""
    from diffusers import DDIMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
        use_linear_projection=True,
    )
    return StableDiffusionXLPipeline(
        vae=_vae((128, 256, 512, 512)),
        text_encoder=_text(_BASE),
        text_encoder_2=_text(_LARGE, projected=True),
        tokenizer=tokenizer(77),
        tokenizer_2=tokenizer(77),
        unet=unet,
        scheduler=DDIMScheduler(clip_sample=False),
        add_watermarker=False,
    )


SIZES: Mapping[str, Callable[[], Any]] = {"small": small, "sd15": sd15, "sdxl": sdxl}


def pipeline(size: str, device: torch.device, dtype: torch.dtype) -> Any:
    """A pipeline of that size on a device; the same weights each time."""
    torch.manual_seed(0)
    with torch.device(device):
        return SIZES[size]().to(device, dtype)


def _diffusion(unet: Mapping[str, Any], text: Mapping[str, Any], vae: tuple[int, ...]) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    return StableDiffusionPipeline(
        vae=_vae(vae),
        text_encoder=_text(text),
        tokenizer=tokenizer(77),
        unet=UNet2DConditionModel(**unet),
        scheduler=DDIMScheduler(clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _vae(channels: tuple[int, ...]) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        layers_per_block=2,
        latent_channels=4,
        scaling_factor=0.18215,
    )


def _text(options: Mapping[str, Any], *, projected: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    kind = CLIPTextModelWithProjection if projected else CLIPTextModel
    return kind(CLIPTextConfig(max_position_embeddings=77, **options))
