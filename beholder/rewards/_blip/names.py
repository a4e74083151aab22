"""Keys of BLIP's checkpoints, and what they tell of the model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt

from beholder.rewards._blip.encoders import LARGE, Sizes

_VISION = {
    "cls_token": "embeddings.class_embedding",
    "pos_embed": "embeddings.position_embedding",
    "patch_embed.proj": "embeddings.patch_embedding",
    "norm": "post_layernorm",
}
_BLOCK = {
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "attn.qkv": "self_attn.qkv",
    "attn.proj": "self_attn.projection",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_POSITIONS = "blip.vision.embeddings.position_embedding"
_PATCHES = "blip.vision.embeddings.patch_embedding.weight"
_WIDE = "blip.vision.encoder.layers.0.mlp.fc1.weight"


def encoder_name(key: str) -> str | None:
    """The name below a `BlipEncoders` called "blip" of a key of an encoder; other keys unchanged.

    Knows the names of BLIP's own files (`visual_encoder.…`, `text_encoder.…`) and those of
    transformers (`vision_model.…`). None for the table of positions, which is computed.
    """
    if key.endswith(".position_ids"):
        return None
    part, _, rest = key.partition(".")
    if part == "visual_encoder":
        return f"blip.vision.{_vision_name(rest)}"
    own = {"vision_model": "vision", "text_encoder": "text"}.get(part)
    return key if own is None else f"blip.{own}.{rest}"


def _vision_name(name: str) -> str:
    if found := re.fullmatch(r"blocks\.(\d+)\.(.+)\.(weight|bias)", name):
        layer, part, kind = found.groups()
        return f"encoder.layers.{layer}.{_BLOCK.get(part, part)}.{kind}"
    stem, dot, kind = name.rpartition(".")
    return _VISION.get(name) or f"{_VISION.get(stem, stem)}{dot}{kind}"


def sizes_told(shapes: Mapping[str, tuple[int, ...]]) -> Sizes:
    """`LARGE` with the sizes that the weights, under this package's names, tell of the pictures.

    Heads are taken to be 64 wide, as those of every published BLIP. Sizes that the weights do not
    tell, because they are those of something else, stay as they are.
    """
    if not {_POSITIONS, _PATCHES, _WIDE} <= set(shapes):
        return LARGE
    width, patch = shapes[_POSITIONS][-1], shapes[_PATCHES][-1]
    layers = {name.split(".")[4] for name in shapes if name.startswith("blip.vision.encoder.")}
    vision = {
        "hidden_size": width,
        "intermediate_size": shapes[_WIDE][0],
        "num_hidden_layers": len(layers),
        "num_attention_heads": max(1, width // 64),
        "image_size": isqrt(shapes[_POSITIONS][-2] - 1) * patch,
        "patch_size": patch,
    }
    return {**LARGE, "vision": vision}
