"""The reward, the pictures and the pairs that benchmarks.training learns from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from beholder.rewards import load
from beholder.rewards.mps import MPS, default_conditions
from beholder.training.judged.data import Batch, make_batch
from beholder.types import Preference

SIZES: dict[str, dict[str, Any]] = {
    "b32": {
        "text": {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8},
        "vision": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
        "cross": {"layer_num": 4, "heads": 16, "dim_head": 64, "ff_mult": 4},
        "projection_dim": 512,
        "layers": 12,
        "pixels": 224,
    },
    "small": {
        "text": {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 4},
        "vision": {"hidden_size": 96, "intermediate_size": 384, "num_attention_heads": 4},
        "cross": {"layer_num": 2, "heads": 4, "dim_head": 16, "ff_mult": 4},
        "projection_dim": 64,
        "layers": 3,
        "pixels": 96,
    },
}
"""Of towers as CLIP ViT-B/32's with an MPS head; and of ones to try the benchmark with."""


def mps_options(size: str) -> dict[str, Any]:
    """Options of `load("mps")`: random weights, the one published condition."""
    sizes = SIZES[size]
    layers = {"num_hidden_layers": sizes["layers"]}
    eyes = {"image_size": sizes["pixels"], "patch_size": 32}
    clip = {
        "text": {**sizes["text"], **layers},
        "vision": {**sizes["vision"], **layers, **eyes},
        "projection_dim": sizes["projection_dim"],
    }
    cross = {**sizes["cross"], "dim": sizes["projection_dim"]}
    return {
        "config": {"clip": clip, "cross": cross},
        "conditions": {"overall": default_conditions()["overall"]},
    }


def mps(size: str) -> MPS:
    torch.manual_seed(0)
    reward = load("mps", **mps_options(size))
    assert isinstance(reward, MPS)
    return reward


@dataclass(frozen=True)
class Pairs:
    """Pairs as files and as a batch."""

    preferences: list[Preference]

    @property
    def batch(self) -> Batch:
        return make_batch(self.preferences, ["overall"])

    def __len__(self) -> int:
        return len(self.preferences)


def ranked(folder: Path, pixels: int, pictures: int) -> Pairs:
    """All pairs of one prompt's pictures, the first the best."""
    paths = _painted(folder / "ranked", pixels, pictures)
    return Pairs([_preference("a red fox in the snow", *pair) for pair in combinations(paths, 2)])


def apart(folder: Path, pixels: int, pairs: int) -> Pairs:
    """Pairs that share neither picture nor prompt."""
    paths = _painted(folder / "apart", pixels, 2 * pairs)
    return Pairs(
        [_preference(f"{k} red foxes in the snow", *paths[2 * k : 2 * k + 2]) for k in range(pairs)]
    )


def learn(reward: nn.Module, names: Iterable[str]) -> list[nn.Parameter]:
    """Let the weights of these names learn and no others."""
    chosen = set(names)
    for name, weight in reward.named_parameters():
        weight.requires_grad_(name in chosen)
        weight.grad = None
    return [weight for name, weight in reward.named_parameters() if name in chosen]


def _preference(prompt: str, first: str, second: str) -> Preference:
    key = f"{first} {second}"
    return Preference(key=key, prompt=prompt, first=first, second=second, p_first={"overall": 1.0})


def _painted(folder: Path, pixels: int, count: int) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    paths = [folder / f"{k}.png" for k in range(count)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (pixels, pixels, 3), dtype=np.uint8)).save(path)
    return [str(path) for path in paths]


def decoded(pairs: Pairs) -> dict[str, Tensor]:
    """The pictures by name (3, h, w)."""
    from beholder.training.towers.pictures import read_all

    names = list(pairs.batch.pictures)
    return dict(zip(names, read_all(names), strict=True))
