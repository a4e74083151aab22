from typing import Any

import torch
from torch import Tensor

import beholder
from beholder.rewards.pickscore import PickScore
from tests.rewards.tiny_towers import CLIP

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
    *("final_layer_norm.weight", "final_layer_norm.bias"),
)
VISION = (
    *("embeddings.class_embedding", "embeddings.patch_embedding.weight"),
    *("embeddings.position_embedding.weight", "pre_layrnorm.weight", "pre_layrnorm.bias"),
    *("post_layernorm.weight", "post_layernorm.bias"),
)
REST = ("logit_scale", "visual_projection.weight", "text_projection.weight")


def tiny(**options: Any) -> PickScore:
    torch.manual_seed(0)
    reward = beholder.load("pickscore", **{"config": CLIP, **options})
    assert isinstance(reward, PickScore)
    return reward


def published_keys(layers: int = 2) -> list[str]:
    """The names of transformers' `CLIPModel`, in which PickScore is published."""
    stack = [f"encoder.layers.{k}.{part}" for k in range(layers) for part in LAYER]
    text = [f"text_model.{name}" for name in (*TEXT, *stack)]
    return [*REST, *text, *(f"vision_model.{name}" for name in (*VISION, *stack))]


def published_state(reward: PickScore) -> dict[str, Tensor]:
    own = reward.state_dict()
    state = {key: own[f"towers.model.{key}"].clone() for key in published_keys()}
    state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    state["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    return state
