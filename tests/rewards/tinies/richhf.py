from typing import Any

import torch

import beholder
from beholder.rewards.richhf import RichHF

HEADS = {"heatmap_width": 16, "heatmap_stages": 2, "score_width": 32, "words": True}


def tiny(**options: Any) -> RichHF:
    torch.manual_seed(0)
    reward = beholder.load("richhf", size="tiny", **{"heads": HEADS, **options})
    assert isinstance(reward, RichHF)
    return reward.eval()
