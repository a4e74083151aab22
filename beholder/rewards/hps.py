"""HPS: Human Preference Score v2 and v2.1, the cosine of a CLIP tuned on people's choices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from beholder._published.weights import Published, fetch
from beholder.errors import ConfigError
from beholder.rewards._base import RewardCard, take_options
from beholder.rewards._card import Accuracy, Parity
from beholder.rewards._cosine import CosineReward
from beholder.rewards._names import is_model, unwrapped
from beholder.rewards._preprocess import CLIP_MEAN, CLIP_STD, Resampling
from beholder.rewards._towers import Towers, build_towers, refuse_beside_towers
from beholder.rewards._weights import load_published, unfilled

_COMMIT = "697403c78157020a1ae59d23f111aa58ced35b0a"
PUBLISHED = {
    "v2.0": Published("xswu/HPSv2", "HPS_v2_compressed.pt", _COMMIT, None),
    "v2.1": Published(
        "xswu/HPSv2",
        "HPS_v2.1_compressed.pt",
        _COMMIT,
        "c57a38fb4a2f7e7c15bf00da2ea377cdf165448b4dd1052a484c215a998c9837",
    ),
}
VIT_H_14 = {"kind": "open_clip", "name": "ViT-H-14"}

_README = "README of tgxs002/HPSv2"
_ACCURACY = {
    "v2.0": (
        Accuracy("HPDv2 test", 83.3, "mean over prompts, ties are credit", _README),
        Accuracy("ImageReward test", 65.7, "ties dropped", _README),
        Accuracy("HPSv2's new test set", 73.2, "mean over prompts, ties are credit", _README),
        Accuracy("MHP overall", 65.5, "pairs", "MPS README"),
    ),
    "v2.1": (
        Accuracy("HPDv2 test", 84.1, "mean over prompts, ties are credit", _README),
        Accuracy("ImageReward test", 66.8, "ties dropped", _README),
        Accuracy("HPSv2's new test set", 74.8, "mean over prompts, ties are credit", _README),
    ),
}
_PART = re.compile(
    r"(visual|transformer|token_embedding|ln_final)\."
    r"|(positional_embedding|text_projection|logit_scale)$"
)


class HPS(CosineReward):
    """cos(picture, prompt) of a CLIP ViT-H/14 tuned on people's choices (Wu et al., 2023).

    Args:
        towers: the encoders.
        version: which of the published weights these are, "v2.1" or "v2.0"; the card follows it.
    """

    card = RewardCard(
        name="hps",
        paper="Wu et al., Human Preference Score v2: A Solid Benchmark for Evaluating Human "
        "Preferences of Text-to-Image Synthesis, 2023",
        measures="which picture of a prompt people choose",
        weights_license="Apache-2.0",
        weights="xswu/HPSv2: HPS_v2.1_compressed.pt",
        score_range=(-1.0, 1.0),
        accuracy=_ACCURACY["v2.1"],
        parity=(
            Parity(
                against="hpsv2 1.2.0",
                error=5e-7,
                spread=0.049,
                how="six small pictures, antialiased and aliased, on a two-layer ViT",
            ),
        ),
        float_error=0.001,
        bf16_error=0.1,
        fp16_error=0.02,
        notes=(
            "the cosine itself; HPSv2's benchmark tables show it times 100, around 23 to 31",
            "scores compare pictures of one prompt; HPSv2's authors advise against more",
            "version='v2.0' is the default of the package's score(), v2.1 that of its evaluate()",
            "pictures are resized as float tensors, as HPSv2 does, with the antialiasing of "
            "torchvision 0.17 and later; resampling='aliased' is what older ones gave, 'pillow' "
            "what Pillow gives",
            "the shorter side is filled up with black; HPSv2 leaves a picture whose longer side is "
            "exactly 224 pixels unfilled, which no ViT-H/14 takes unless it is square",
            "imscore's HPSv2 is this v2.1, antialiased; its copy RE-N-Y/hpsv21 is read too",
        ),
    )

    def __init__(self, towers: Towers, *, version: str = "v2.1") -> None:
        super().__init__(towers)
        self.version = _check_version(version)
        weights = f"{PUBLISHED[version].repo}: {PUBLISHED[version].file}"
        own = replace(type(self).card, weights=weights, accuracy=_ACCURACY[version])
        vars(self)["card"] = own

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> HPS:
        given = take_options(options, {"towers", "version"}, "hps")
        towers = build_towers(cast("Mapping[str, object]", given.pop("towers", VIT_H_14)))
        return cls(towers, **cast("Any", given))

    @override
    def options(self) -> dict[str, object]:
        return {"towers": self.towers.options(), "version": self.version}

    @override
    def from_cosine(self, cosine: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return cosine.clamp(-1, 1)


def build(
    weights: str | Path | None = None,
    config: Mapping[str, object] | None = None,
    version: str = "v2.1",
    resampling: str = "antialiased",
    towers: Mapping[str, object] | None = None,
) -> HPS:
    """HPS with published weights, those of a file, or random ones.

    Args:
        weights: a published checkpoint, which is read without being executed, or a safetensors
            file of it; None with neither `config` nor `towers` fetches that of `version`.
        config: values put over open_clip's configuration of ViT-H-14, such as
            `{"vision_cfg": {"layers": 2}}`; without `weights` the model is random.
        version: "v2.1" or "v2.0".
        resampling: how pictures are resized: "antialiased", as HPSv2 with today's torchvision;
            "aliased", as with torchvision before 0.17; or "pillow".
        towers: other encoders, as options of `build_towers`, with HPSv2's preparation of pictures:
            what a new HPS is trained from.

    Raises:
        ConfigError: if an option is unknown, or both `towers` and `weights` or `config` are given.
        WeightsError: if the weights are missing, damaged or do not fit.
    """
    published = PUBLISHED[_check_version(version)]
    if resampling not in get_args(Resampling):
        known = ", ".join(get_args(Resampling))
        raise ConfigError(f"resampling of hps is one of {known}; got {resampling!r}")
    own = {"fit": "pad", "resampling": resampling, "mean": CLIP_MEAN, "std": CLIP_STD}
    if towers is not None:
        refuse_beside_towers("hps", weights=weights, config=config)
        return HPS(build_towers({"preprocess": own, **towers}), version=version)
    if weights is None and config is None:
        weights = fetch(published)  # before a billion random weights are drawn in vain
    with unfilled(when=weights is not None):
        built = build_towers({**VIT_H_14, "overrides": config or {}, "preprocess": own})
    reward = HPS(built, version=version)
    if weights is not None:
        load_published(reward, weights, own_name)
    return reward


def own_name(key: str) -> str | None:
    """This package's name of a published key: open_clip below `towers.model`, wrappers stripped."""
    name = unwrapped(key)
    return f"towers.model.{name}" if _PART.match(name) else name


def recognises(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a file with these keys is an open_clip model and nothing else, as HPS's are."""
    return is_model(
        shapes, own_name, {"visual.conv1.weight", "token_embedding.weight", "text_projection"}
    )


def _check_version(version: str) -> str:
    if version not in PUBLISHED:
        raise ConfigError(f"version of hps is {' or '.join(PUBLISHED)}, got {version!r}")
    return version
