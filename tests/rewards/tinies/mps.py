import torch

import beholder
from beholder.rewards import Reward
from tests.rewards import tiny_towers


def tiny() -> Reward:
    torch.manual_seed(0)
    return beholder.load("mps", config=tiny_towers.CONFIG)
