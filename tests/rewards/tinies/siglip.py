from typing import Any

import torch
from torch import Tensor

import beholder
from beholder.rewards.siglip import Siglip
from tests.rewards.tiny_towers import word_tokenizer

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
CONFIG: dict[str, Any] = {
    "text": {**SIZES, "vocab_size": 32, "max_position_embeddings": 16},
    "vision": {**SIZES, "image_size": 32, "patch_size": 8},
    "pad_token": "[PAD]",
}
LAYER = [
    f"{part}.{kind}"
    for part in (
        *("self_attn.k_proj", "self_attn.v_proj", "self_attn.q_proj", "self_attn.out_proj"),
        *("layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2"),
    )
    for kind in ("weight", "bias")
]
TEXT = (
    *("embeddings.token_embedding.weight", "embeddings.position_embedding.weight"),
    *("final_layer_norm.weight", "final_layer_norm.bias", "head.weight", "head.bias"),
)
VISION = (
    *("embeddings.patch_embedding.weight", "embeddings.patch_embedding.bias"),
    *("embeddings.position_embedding.weight", "post_layernorm.weight", "post_layernorm.bias"),
    *("head.probe", "head.attention.in_proj_weight", "head.attention.in_proj_bias"),
    *("head.attention.out_proj.weight", "head.attention.out_proj.bias"),
    *("head.layernorm.weight", "head.layernorm.bias", "head.mlp.fc1.weight"),
    *("head.mlp.fc1.bias", "head.mlp.fc2.weight", "head.mlp.fc2.bias"),
)


def tiny(**options: Any) -> Siglip:
    torch.manual_seed(0)
    reward = beholder.load("siglip", **{"config": CONFIG, "tokenizer": word_tokenizer(), **options})
    assert isinstance(reward, Siglip)
    if "weights" not in options:
        model: Any = reward.towers.model
        with torch.no_grad():
            model.logit_scale.fill_(2.0)
            model.logit_bias.fill_(-1.0)
    return reward


def published_keys(layers: int = 2) -> list[str]:
    """The names of transformers' `SiglipModel`, in which Google publishes SigLIP."""
    stack = [f"encoder.layers.{k}.{part}" for k in range(layers) for part in LAYER]
    text = [f"text_model.{name}" for name in (*TEXT, *stack)]
    vision = [f"vision_model.{name}" for name in (*VISION, *stack)]
    return ["logit_scale", "logit_bias", *text, *vision]


def published_state(reward: Siglip) -> dict[str, Tensor]:
    own = reward.state_dict()
    return {key: own[f"towers.model.{key}"].clone() for key in published_keys()}
