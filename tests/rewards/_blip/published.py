"""Scores of the published packages on tiny models, `tests/data/rewards/blip.safetensors`.

Made with image-reward 1.5 (imagereward, and blipscore by its BLIPScore) and cyclereward 0.1.7 on
transformers 4.30.2, timm 0.6.13, torch 2.6.0, torchvision 0.21.0 and Pillow 13.0.0: their own
classes and `score`, with the sizes and vocabulary of `small`, heads as published and the weights
that `filled` makes of their keys. The metadata of the file says the same.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from beholder.rewards import Reward
from tests.rewards._blip.small import filled

FILE = Path(__file__).parents[2] / "data" / "rewards" / "blip.safetensors"


def fill(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The formula's weights under the same keys, but for tables."""
    return {k: filled(k, v.shape) if v.is_floating_point() else v for k, v in state.items()}


def published_scores(name: str) -> Tensor:
    """What the published package gave, (6 pictures, 6 prompts) in float64."""
    with safe_open(FILE, "pt") as file:
        scores: Tensor = file.get_tensor(f"scores.{name}")
    return scores


def own_scores(reward: Reward, *, fitted: bool = False) -> Tensor:
    """What the reward gives for the same pictures and prompts, all in one call.

    `fitted` takes the pictures as the published packages had resized and cut them with Pillow.
    """
    with safe_open(FILE, "pt") as file:
        prompts = json.loads(file.metadata()["prompts"])
        whole = [file.get_tensor(f"picture.{k}") for k in range(6)]
        pictures = list(file.get_tensor("fitted")) if fitted else whole
    rows = [picture for picture in pictures for _ in prompts]
    return reward.score(rows, prompts * 6).total.reshape(6, 6).double()


def published_ids() -> tuple[list[str], Tensor]:
    """The prompts and their first 40 ids, of cyclereward's tokenizer."""
    with safe_open(FILE, "pt") as file:
        ids: Tensor = file.get_tensor("ids")
        return json.loads(file.metadata()["prompts"]), ids.to(torch.long)
