from typing import Any

import torch

import beholder
from beholder.rewards.clipscore import CLIPScore
from tests.rewards import tiny_towers


def tiny(**options: Any) -> CLIPScore:
    torch.manual_seed(0)
    reward = beholder.load("clipscore", config=tiny_towers.OPEN_CLIP_SIZES, **options)
    assert isinstance(reward, CLIPScore)
    return reward
