"""PickScore: a CLIP tuned on the choices of Pick-a-Pic's users."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from beholder._published.weights import Published, fetch
from beholder.rewards._base import RewardCard, take_options
from beholder.rewards._card import Accuracy, Parity
from beholder.rewards._cosine import CosineReward
from beholder.rewards._names import is_model, unwrapped
from beholder.rewards._precision import at_least_float32
from beholder.rewards._towers import Towers, build_towers, refuse_beside_towers
from beholder.rewards._towers.clip import CLIP_H
from beholder.rewards._weights import load_published, unfilled

PUBLISHED = Published(
    "yuvalkirstain/PickScore_v1",
    "model.safetensors",
    "a4e4367c6dfa7288a00c550414478f865b875800",
    None,
)


class PickScore(CosineReward):
    """exp(logit_scale) * cos(picture, prompt) (Kirstain et al., NeurIPS 2023, eq. 1).

    The probability that people choose a picture among several of one prompt is the softmax of
    their scores (eq. 2): `reward.score(pictures, prompt).total.softmax(dim=0)`.

    Args:
        towers: the encoders.
    """

    card = RewardCard(
        name="pickscore",
        paper="Kirstain et al., Pick-a-Pic: An Open Dataset of User Preferences for Text-to-Image "
        "Generation, NeurIPS 2023",
        measures="which picture of a prompt people choose",
        weights_license="MIT",
        weights=PUBLISHED.repo,
        accuracy=(
            Accuracy(
                "Pick-a-Pic test",
                70.5,
                "a tie predicted or given counts half; its threshold was chosen on validation",
                "Kirstain et al., 2023",
            ),
            Accuracy("HPDv2 test", 79.8, "mean over prompts, ties are credit", "MPS README"),
            Accuracy("ImageReward test", 62.9, "ties dropped", "README of tgxs002/HPSv2"),
            Accuracy("MHP overall", 69.5, "pairs", "MPS README"),
        ),
        parity=(
            Parity(
                against="transformers 5.24.0 with its Pillow processor",
                error=0.003,
                spread=1.155,
                how="four small pictures on a two-layer CLIP; from the same pixel values the "
                "scores are equal",
            ),
        ),
        float_error=0.005,
        bf16_error=0.3,
        fp16_error=0.03,
        notes=(
            "the softmax of the scores of one prompt's pictures is the chance to be chosen",
            "a score is a cosine times exp(logit_scale), which is near 100 in CLIP's weights",
            "pictures as CLIP's processor of the published code: Pillow's bicubic, centre crop; "
            "transformers 5's default processor differs from it by a grey level",
            "imscore measures 66.7 % on ImageReward's test set with another treatment of pairs",
            "special tokens typed into a prompt are read as plain text",
        ),
    )

    def __init__(self, towers: Towers) -> None:
        super().__init__(towers)

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> PickScore:
        given = take_options(options, {"towers"}, "pickscore")
        return cls(build_towers(cast("Any", given.get("towers", {"kind": "clip", **CLIP_H}))))

    @override
    def options(self) -> dict[str, object]:
        return {"towers": self.towers.options()}

    @override
    def from_cosine(self, cosine: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return at_least_float32(self.towers.logit_scale).exp() * cosine


def build(
    weights: str | Path | None = None,
    config: Mapping[str, object] | None = None,
    towers: Mapping[str, object] | None = None,
) -> PickScore:
    """PickScore with the published weights, those of a file, or random ones.

    Args:
        weights: the published `model.safetensors` or `pytorch_model.bin`; None with neither
            `config` nor `towers` fetches the published weights.
        config: sizes that differ from those of ViT-H/14: text, vision and projection_dim as
            `ClipTowers` takes them; without `weights` the model is random.
        towers: other encoders, as options of `build_towers`: what a new PickScore is trained from.

    Raises:
        ConfigError: if an option is unknown, or both `towers` and `weights` or `config` are given.
        WeightsError: if the weights are missing, damaged or do not fit.
    """
    if towers is not None:
        refuse_beside_towers("pickscore", weights=weights, config=config)
        return PickScore(build_towers(towers))
    sizes = take_options(config or {}, set(CLIP_H), "config of pickscore")
    if weights is None and config is None:
        weights = fetch(PUBLISHED)  # before a billion random weights are drawn in vain
    with unfilled(when=weights is not None):
        reward = PickScore(build_towers({"kind": "clip", **CLIP_H, **sizes}))
    if weights is not None:
        load_published(reward, weights, own_name)
    return reward


def own_name(key: str) -> str | None:
    """This package's name of a published key: CLIP below `towers.model`, wrappers stripped."""
    name = unwrapped(key)
    if name.endswith(".position_ids"):
        return None
    if re.match(r"(text|vision)_model\.|(text|visual)_projection\.|logit_scale$", name):
        return f"towers.model.{name}"
    return name


def recognises(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a file with these keys is transformers' CLIP and nothing else."""
    return is_model(
        shapes, own_name, {"text_projection.weight", "visual_projection.weight", "logit_scale"}
    )
