"""A BLIP that costs a test milliseconds, and the names of the published keys of one."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

WORDS = "[PAD] [UNK] [CLS] [SEP] a the cat dog red cube light two of , [ ] enc sep cls un bound ##s"
VOCABULARY = "\n".join(f"{WORDS} ##ed ##light 0 1 2 3 4 5 6 7 8 9 ##0 ##1".split())
SIZES: dict[str, Any] = {
    "vision": {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
    },
    "text": {
        "vocab_size": len(VOCABULARY.splitlines()) + 2,
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": 160,
    },
}
HEAD = [20, 16, 12, 8]

_NAMES = {  # of this package, below the picture encoder, and BLIP's own
    "embeddings.class_embedding": "cls_token",
    "embeddings.position_embedding": "pos_embed",
    "embeddings.patch_embedding": "patch_embed.proj",
    "post_layernorm": "norm",
    "layer_norm1": "norm1",
    "layer_norm2": "norm2",
    "self_attn.qkv": "attn.qkv",
    "self_attn.projection": "attn.proj",
    "encoder.layers": "blocks",
}


def enlarge(reward: nn.Module) -> None:
    """Make the initial weights, which suit widths of hundreds, so large that scores differ."""
    with torch.no_grad():
        for name, value in reward.named_parameters():
            if value.ndim > 1 and name.startswith("blip."):
                value.mul_(8)


def published_blip(state: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """The encoders of a reward's state under the keys of BLIP's own checkpoints."""
    found = {}
    for name, value in state.items():
        if name.startswith("blip.vision."):
            found[f"{prefix}visual_encoder.{_old(name.removeprefix('blip.vision.'))}"] = value
        elif name.startswith("blip.text."):
            found[f"{prefix}text_encoder.{name.removeprefix('blip.text.')}"] = value
    return found


def _old(name: str) -> str:
    for own, old in _NAMES.items():
        name = re.sub(rf"(^|(?<=\.)){re.escape(own)}(?=\.|$)", old, name)
    return name


def filled(key: str, shape: Sequence[int]) -> Tensor:
    """Weights that are a formula of their published key: the same wherever they are made."""
    place = torch.arange(math.prod(shape), dtype=torch.float64)
    waves = torch.sin(place * 12.9898 + sum(key.encode()) % 1009) * 43758.5453
    noise = (waves - waves.floor()) * 2 - 1
    if len(shape) > 1:
        noise = noise * 2.5 / math.prod(shape[1:]) ** 0.5
    elif key.endswith("weight"):
        noise = 1 + noise / 4
    return noise.reshape(list(shape)).float()
