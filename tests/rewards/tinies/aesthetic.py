from typing import Any

import torch
from torch import Tensor

import beholder
from beholder.rewards.aesthetic import Aesthetic

VIT = {
    "embed_dim": 32,
    "vision_cfg": {"layers": 2, "width": 64, "image_size": 64, "patch_size": 16},
}
SIGLIP = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
WIDTHS = [24, 20, 16, 8]
LAYERS = {
    "v2": [f"layers.{at}" for at in (0, 2, 4, 6, 7)],
    "v2-relu": [f"layers.{at}" for at in (0, 3, 6, 9, 11)],
    "v2.5": [f"scoring_head.{at}" for at in (0, 2, 4, 6, 8)],
}


def config(version: str = "v2") -> dict[str, Any]:
    backbone = SIGLIP if version == "v2.5" else VIT
    return {"backbone": backbone, "widths": [] if version.startswith("v1") else WIDTHS}


def tiny(version: str = "v2", **options: Any) -> Aesthetic:
    torch.manual_seed(0)
    given = {"config": config(version), "version": version, **options}
    reward = beholder.load("aesthetic", **given)
    assert isinstance(reward, Aesthetic)
    if "weights" not in options:
        with torch.no_grad():
            for weight in reward.head.parameters():
                weight.mul_(4)  # five random layers flatten every score otherwise
    return reward


def published_state(reward: Aesthetic) -> dict[str, Tensor]:
    """The head alone, as its authors saved it."""
    own = reward.state_dict()
    if reward.version not in LAYERS:
        return {kind: own[f"head.0.{kind}"].clone() for kind in ("weight", "bias")}
    return {
        f"{name}.{kind}": own[f"head.{name.split('.')[1]}.{kind}"].clone()
        for name in LAYERS[reward.version]
        for kind in ("weight", "bias")
    }
