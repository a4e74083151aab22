import math
from typing import Any

import torch
from torch import Tensor

import beholder
from beholder.rewards.hps import HPS
from tests.rewards.tiny_towers import OPEN_CLIP_SIZES

CONFIG: dict[str, Any] = {
    **OPEN_CLIP_SIZES,
    "vision_cfg": {**OPEN_CLIP_SIZES["vision_cfg"], "head_width": 32},
}
BLOCK = (
    *("attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.weight", "attn.out_proj.bias"),
    *("ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias"),
    *("mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"),
)
VISUAL = (
    *("class_embedding", "positional_embedding", "proj", "conv1.weight"),
    *("ln_pre.weight", "ln_pre.bias", "ln_post.weight", "ln_post.bias"),
)
REST = (
    *("positional_embedding", "text_projection", "logit_scale", "token_embedding.weight"),
    *("ln_final.weight", "ln_final.bias"),
)


def tiny(**options: Any) -> HPS:
    torch.manual_seed(0)
    reward = beholder.load("hps", **{"config": CONFIG, **options})
    assert isinstance(reward, HPS)
    return reward


def published_keys(layers: int = 2) -> list[str]:
    """The names of open_clip's CLIP, in which HPSv2 publishes."""
    blocks = [f"transformer.resblocks.{k}.{part}" for k in range(layers) for part in BLOCK]
    visual = [f"visual.{name}" for name in (*VISUAL, *blocks)]
    return [*REST, *visual, *blocks]


def published_state(reward: HPS) -> dict[str, Tensor]:
    own = reward.state_dict()
    return {key: own[f"towers.model.{key}"].clone() for key in published_keys()}


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights that any machine and library can make again, from a formula of name and place."""
    state = {}
    for at, name in enumerate(sorted(shapes)):
        place = torch.arange(math.prod(shapes[name]), dtype=torch.float64)
        wave = torch.sin(place * (1.3 + 0.01 * at) + 0.001 * place.square().remainder(977) + at)
        if len(shapes[name]) > 1:
            wave = wave * 1.5 * shapes[name][-1] ** -0.5
        else:
            wave = 0.2 * wave + ("ln_" in name and name.endswith("weight"))
        state[name] = wave.reshape(shapes[name]).float()
    return state
