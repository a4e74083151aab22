from typing import Any

import torch
from torch import Tensor

import beholder
from beholder.rewards.blipscore import BLIPScore
from tests.rewards._blip.small import SIZES, VOCABULARY, enlarge, published_blip

CONFIG = {**SIZES, "projection_dim": 20}


def tiny(**options: Any) -> BLIPScore:
    torch.manual_seed(0)
    options = {"config": CONFIG, "tokenizer": VOCABULARY} | options
    reward = beholder.load("blipscore", **options)
    assert isinstance(reward, BLIPScore)
    if "weights" not in options:
        enlarge(reward)
    return reward


def published_state(reward: BLIPScore) -> dict[str, Tensor]:
    """As BLIP's own `model_large_retrieval_coco.pth` has them below "model"."""
    own = reward.state_dict()
    state = published_blip(own)
    for part in ("vision_proj", "text_proj", "itm_head"):
        for kind in ("weight", "bias"):
            state[f"{part}.{kind}"] = own[f"{part}.{kind}"]
    for name, value in list(state.items()):
        part, _, rest = name.partition(".")
        if part != "itm_head":
            state[f"{part}_m.{rest}"] = value + 1
    state["text_encoder.embeddings.position_ids"] = torch.arange(160)[None]
    state["temp"] = torch.tensor(0.07)
    state["image_queue"], state["text_queue"] = torch.ones(20, 8), torch.ones(20, 8)
    state["ptr_queue"], state["idx_queue"] = torch.zeros(1), torch.ones(1, 8)
    return state
