from typing import Any

import torch
from torch import Tensor

import beholder
from beholder.rewards.cyclereward import CycleReward
from tests.rewards._blip.small import HEAD, SIZES, VOCABULARY, enlarge, published_blip

CONFIG = {**SIZES, "head": HEAD}
LAYERS = (0, 2, 4, 6, 8)


def tiny(**options: Any) -> CycleReward:
    torch.manual_seed(0)
    options = {"config": CONFIG, "tokenizer": VOCABULARY} | options
    reward = beholder.load("cyclereward", **options)
    assert isinstance(reward, CycleReward)
    if "weights" not in options:
        enlarge(reward)
    return reward


def published_state(reward: CycleReward) -> dict[str, Tensor]:
    own = reward.state_dict()
    state = published_blip(own, "blip.")
    for layer in LAYERS:
        for kind in ("weight", "bias"):
            state[f"mlp.layers.{layer}.{kind}"] = own[f"mlp.{layer}.{kind}"]
    for part, width in (("vision", 32), ("text", 24)):
        state[f"blip.{part}_proj.weight"] = torch.ones(256, width)
        state[f"blip.{part}_proj.bias"] = torch.ones(256)
    state["blip.text_encoder.embeddings.position_ids"] = torch.arange(160)[None]
    return state
