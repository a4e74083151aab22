from typing import Any

import torch

import beholder
from beholder.rewards.head import Head
from tests.rewards.tiny_towers import CLIP

ASPECTS = ("overall", "detail")


def tiny(**options: Any) -> Head:
    torch.manual_seed(0)
    given = {"towers": {"kind": "clip", **CLIP}, "aspects": ASPECTS, "widths": (24,), **options}
    reward = beholder.load("head", **given)
    assert isinstance(reward, Head)
    return reward
