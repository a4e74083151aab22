"""Where each recipe of `recipes` starts: the same pretrained towers under a new random head.

The picture tower is EfficientNet-Lite0, the text tower MiniLM, both as they ship in packages. They
never met, so they are joined the way in which CLIP's towers come: a picture's last feature map is
carried to texts by the ridge regression of the quickstart's baseline, which saw no judgement. Fine
detail and colour, which that map has lost, are added from lower maps by random projections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from beholder._published.weights import read_state
from beholder.images import read_images
from beholder.quickstart.towers import EFFICIENTNET, MINILM, class_names, ridge, whiten
from beholder.rewards import Reward
from beholder.rewards._towers.timm_text import TimmTextTowers, sinusoids
from beholder.rewards.head import Head
from beholder.rewards.mps import MPS, default_conditions
from beholder.rewards.pickscore import PickScore
from beholder.types import ASPECTS

SIZE = 160
"""Pixels a side that the picture tower sees."""

CROSS: Mapping[str, object] = {"layer_num": 1, "heads": 4, "dim_head": 32, "ff_mult": 2}
_DIM, _GRID, _LEVELS = 64, 4, (0, 1, 3)
_LAST = 1280  # channels of the last feature map


def joined(pictures: Sequence[str], prompts: Sequence[str], seed: int) -> TimmTextTowers:
    """The towers, brought to one scale by samples of what will be judged."""
    with torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)
        towers = TimmTextTowers(
            {
                "name": "tf_efficientnet_lite0",
                "weights": str(EFFICIENTNET.path()),
                "levels": _LEVELS,
                "grid": _GRID,
            },
            {"folder": str(MINILM.path().parent), "max_length": 48},
            dim=_DIM,
            preprocess={"size": SIZE},
        ).eval()
    with torch.no_grad():
        whiten(towers, _texts(towers, prompts))
        classes = _texts(towers, [f"a photo of a {name}" for name in class_names()])
        known = read_state(EFFICIENTNET.path())["_fc.weight"]
        meaning = towers.text_projection.weight @ ridge(known, classes).T
        _place(towers, _cells(towers, pictures), meaning)
    return towers


def mps(towers: TimmTextTowers, mask: str, conditions: Mapping[str, str] | None = None) -> MPS:
    """MPS; with mask "none" every word passes under every condition, so that all score alike."""
    rule = "soft" if mask == "none" else mask
    reward = MPS(towers, cross=CROSS, conditions=conditions, mask=rule)
    if mask == "none":
        with torch.no_grad():
            # share ** exp(-1000) = 1 for every word; the recipe keeps it frozen
            cast("Tensor", reward.soft_power).fill_(-1000)
    return reward


def exchanged() -> dict[str, str]:
    """The conditions, each with the words of the next; overall keeps its own."""
    told = default_conditions()
    return {
        "aesthetics": told["detail"],
        "detail": told["alignment"],
        "alignment": told["aesthetics"],
        "overall": told["overall"],
    }


def overall_alone() -> dict[str, str]:
    """One condition: the published text of overall."""
    return {"overall": default_conditions()["overall"]}


def save(reward: Reward, folder: Path) -> Path:
    """Write a start; gives the folder."""
    reward.eval().save_pretrained(folder)
    return folder


def head(towers: TimmTextTowers, *, prompt: bool = True, uncertainty: bool = False) -> Head:
    """A net on the pooled states, with an output for each dimension."""
    return Head(towers, aspects=ASPECTS, prompt=prompt, uncertainty=uncertainty)


def pickscore(towers: TimmTextTowers) -> PickScore:
    """exp(logit scale) times the cosine."""
    return PickScore(towers)


def _texts(towers: TimmTextTowers, texts: Sequence[str]) -> Float[Tensor, "n w"]:
    ids = towers.tokenize(texts)
    return torch.cat([towers.text_backbone(part).pooled for part in ids.split(64)])


def _cells(towers: TimmTextTowers, pictures: Sequence[str]) -> Float[Tensor, "n w"]:
    read = cast("list[Tensor]", read_images(pictures))
    parts = [towers.image_backbone(towers.preprocess(picture[None])).tokens for picture in read]
    return torch.cat([part[:, 1:].flatten(0, 1) for part in parts])


def _place(
    towers: TimmTextTowers, cells: Float[Tensor, "n w"], meaning: Float[Tensor, "d v"]
) -> None:
    """Fill the projection of pictures: meaning and looks as strong as each other, mean zero."""
    spread = cells.std(dim=0)
    weight = towers.image_projection.weight / spread
    weight[:, -_LAST:] = 0
    weight /= (cells @ weight.T).std()
    weight[:, -_LAST:] = meaning / (cells[:, -_LAST:] @ meaning.T).std()
    axis = cells.mean(dim=0) / spread
    axis = axis / axis.norm()
    scaled = weight * spread
    towers.image_projection.weight.copy_((scaled - (scaled @ axis)[:, None] * axis) / spread)
    waves = sinusoids(_GRID, _DIM)
    waves[1:] -= waves[1:].mean(dim=0)
    towers.position.copy_(waves)
