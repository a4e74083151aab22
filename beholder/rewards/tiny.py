"""A few thousand fixed random weights: a reward for dry runs and tests, without a download."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from typing_extensions import override

from beholder.errors import ConfigError
from beholder.rewards._base import Reward, RewardCard, take_options
from beholder.rewards._preprocess import Preprocess
from beholder.types import ASPECTS, Scores

_SIDE = 32
_PATCH = 8
_DIM = 16
_BUCKETS = 64
_SPREAD = {"patches.weight": 0.25, "heads.weight": 2.0}


@final
class Tiny(Reward):
    """Scores of no meaning that depend on every pixel and on the words and letters of the prompt.

    score_a = tanh(w_a · (v ∘ (1 + t))), where v is the mean of the patches' random features and t
    the mean of random vectors of the prompt's words and letter triples. Total is "overall".
    """

    card: ClassVar[RewardCard] = RewardCard(
        name="tiny",
        measures="nothing",
        paper="none: fixed random weights for dry runs and tests",
        score_range=(-1.0, 1.0),
        aspects=ASPECTS,
        notes=("the scores mean nothing; they are the same on every machine and run",),
    )

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self._prepare = Preprocess(size=_SIDE, mean=(0.5,) * 3, std=(0.5,) * 3, fit="squash")
        self.patches = nn.Conv2d(3, _DIM, _PATCH, _PATCH)
        self.pieces = nn.EmbeddingBag(_BUCKETS, _DIM, mode="mean")
        self.heads = nn.Linear(_DIM, len(ASPECTS))
        _fill(self, seed)

    @override
    def preprocess(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        return self._prepare(pixels)

    @override
    def score_prepared(
        self, pixel_values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]
    ) -> Scores:
        picture = self.patches(pixel_values.to(self.heads.weight.dtype)).tanh().mean((2, 3))
        scores = self.heads(picture * (1 + self._encode(prompts))).tanh()
        aspects = dict(zip(ASPECTS, scores.unbind(1), strict=True))
        return Scores(aspects["overall"], aspects)

    @override
    def options(self) -> dict[str, object]:
        return {"seed": self.seed}

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Tiny:
        seed = take_options(options, {"seed"}, "tiny").get("seed", 0)
        if type(seed) is not int or seed < 0:
            raise ConfigError(f"seed of tiny must be a whole number from 0, got {seed!r}")
        return cls(seed)

    def _encode(self, prompts: Sequence[str]) -> Float[Tensor, "b d"]:
        rows = [[zlib.crc32(piece.encode()) % _BUCKETS for piece in _pieces(p)] for p in prompts]
        starts = np.cumsum([0, *map(len, rows)])[:-1]
        buckets = torch.tensor([bucket for row in rows for bucket in row], dtype=torch.long)
        device = self.heads.weight.device
        vectors: Tensor = self.pieces(buckets.to(device), torch.from_numpy(starts).to(device))
        return vectors


def build(*, seed: int = 0) -> Tiny:
    """The reward whose weights follow from `seed`."""
    return Tiny.from_options({"seed": seed})


def _pieces(prompt: str) -> list[str]:
    words = re.findall(r"\w+", prompt.lower())
    padded = [f" {word} " for word in words]
    return words + [word[k : k + 3] for word in padded for k in range(len(word) - 2)]


@torch.no_grad()
def _fill(module: nn.Module, seed: int) -> None:
    """Uniform weights from PCG64's raw bits: the same under every version of numpy and torch."""
    bits = np.random.PCG64(seed)
    for name, weight in module.named_parameters():
        uniform = (bits.random_raw(weight.numel()) >> np.uint64(11)) * 2.0**-52 - 1
        weight.copy_(torch.from_numpy(uniform * _SPREAD.get(name, 1.0)).reshape(weight.shape))
