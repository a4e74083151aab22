"""SigLIP: how likely a picture and a prompt belong together; a baseline that nobody tuned."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from beholder._published.weights import Published, fetch
from beholder.errors import ConfigError, WeightsError
from beholder.rewards._base import RewardCard, take_options
from beholder.rewards._card import Parity
from beholder.rewards._cosine import CosineReward
from beholder.rewards._names import is_model, unwrapped
from beholder.rewards._precision import at_least_float32
from beholder.rewards._towers.siglip import SiglipTowers
from beholder.rewards._weights import load_published, unfilled

_REPO = "google/siglip-so400m-patch14-384"
_COMMIT = "9fdffc58afc957d1a03a25b10dba0329ab15c2a3"
PUBLISHED = Published(
    _REPO,
    "model.safetensors",
    _COMMIT,
    "ea2abad2b7f8a9c1aa5e49a244d5d57ffa71c56f720c94bc5d240ef4d6e1d94a",
)
TOKENIZER = Published(_REPO, "tokenizer.json", _COMMIT, None)

_SIZES = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
}
SO400M: dict[str, dict[str, object]] = {
    "text": {**_SIZES, "vocab_size": 32000, "max_position_embeddings": 64},
    "vision": {**_SIZES, "image_size": 384, "patch_size": 14},
}
"""Sizes of google/siglip-so400m-patch14-384."""

Protocol = Literal["probability", "logit", "cosine"]
_RANGES = {
    "probability": (0.0, 1.0),
    "logit": (-math.inf, math.inf),
    "cosine": (-1.0, 1.0),
}


class Siglip(CosineReward):
    """sigmoid(exp(scale) * cos(picture, prompt) + bias) (Zhai et al., ICCV 2023, eq. 1).

    Args:
        towers: the encoders.
        protocol: "probability" as above; "logit" before the sigmoid; or the bare "cosine".
    """

    card = RewardCard(
        name="siglip",
        paper="Zhai et al., Sigmoid Loss for Language Image Pre-Training, ICCV 2023",
        measures="how well the picture agrees with the prompt",
        weights_license="Apache-2.0",
        weights=_REPO,
        score_range=(0.0, 1.0),
        parity=(
            Parity(
                against="transformers 5.24.0 with its Pillow processor",
                error=0.004,
                spread=0.489,
                how="logits of four small pictures on a two-layer SigLIP; token ids are those of "
                "its tokenizer",
            ),
        ),
        float_error=0.005,
        bf16_error=0.2,
        fp16_error=0.02,
        notes=(
            "no accuracy on people's pairs was published for it",
            "protocol='probability' is nearly flat at both ends: train against 'logit' or 'cosine'",
            "prompts lose punctuation and capitals and are cut to 64 tokens, as SigLIP was trained",
            "pictures are squashed to a square",
            "imscore's SiglipPreferenceScorer is this with tuned weights and protocol='logit', "
            "such as RE-N-Y/pickscore-siglip, whose files are read too",
        ),
    )

    def __init__(self, towers: SiglipTowers, *, protocol: str = "probability") -> None:
        super().__init__(towers)
        if protocol not in get_args(Protocol):
            raise ConfigError(
                f"protocol is one of {', '.join(get_args(Protocol))}; got {protocol!r}"
            )
        self.protocol = protocol
        vars(self)["card"] = replace(type(self).card, score_range=_RANGES[protocol])

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Siglip:
        given = take_options(options, {"towers", "protocol"}, "siglip")
        towers = dict(cast("Mapping[str, object]", given.pop("towers", SO400M)))
        towers.pop("kind", None)
        return cls(SiglipTowers.from_options(towers), **cast("Any", given))

    @override
    def options(self) -> dict[str, object]:
        return {"towers": self.towers.options(), "protocol": self.protocol}

    @override
    def from_cosine(self, cosine: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        if self.protocol == "cosine":
            return cosine.clamp(-1, 1)
        towers = cast("SiglipTowers", self.towers)
        scale, bias = at_least_float32(towers.logit_scale), at_least_float32(towers.logit_bias)
        logit = scale.exp() * cosine + bias
        return torch.sigmoid(logit) if self.protocol == "probability" else logit


def build(
    weights: str | Path | None = None,
    config: Mapping[str, object] | None = None,
    protocol: str = "probability",
    tokenizer: str | Path | None = None,
) -> Siglip:
    """SigLIP with the published weights, those of a file, or random ones.

    Args:
        weights: a published `model.safetensors` of transformers' `SiglipModel`; None without
            `config` fetches that of SO400M at 384 pixels.
        config: sizes that differ from those of SO400M: "text" and "vision" as `SiglipTowers` takes
            them, and its "pad_token"; without `weights` the model is random.
        protocol: "probability", "logit" or "cosine".
        tokenizer: a tokenizer.json, or its text; None fetches the published one.

    Raises:
        ConfigError: if an option is unknown.
        WeightsError: if the weights or the tokenizer are missing, damaged or do not fit.
    """
    given = take_options(config or {}, {*SO400M, "pad_token"}, "config of siglip")
    if weights is None and config is None:
        weights = fetch(PUBLISHED)  # before a billion random weights are drawn in vain
    sizes = {
        part: {**own, **cast("Mapping[str, object]", given.pop(part, {}))}
        for part, own in SO400M.items()
    }
    sizes["text"].setdefault("projection_size", sizes["vision"]["hidden_size"])
    text = _read_tokenizer(fetch(TOKENIZER, "tokenizer") if tokenizer is None else tokenizer)
    with unfilled(when=weights is not None):
        towers = SiglipTowers.from_options({**sizes, **given, "tokenizer": text})
    reward = Siglip(towers, protocol=protocol)
    if weights is not None:
        load_published(reward, weights, own_name)
    return reward


def own_name(key: str) -> str | None:
    """This package's name of a published key: SigLIP below `towers.model`, wrappers stripped."""
    name = unwrapped(key)
    if name.endswith(".position_ids"):
        return None
    if re.match(r"(text|vision)_model\.|logit_(scale|bias)$", name):
        return f"towers.model.{name}"
    return name


def recognises(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a file with these keys is transformers' SigLIP and nothing else."""
    return is_model(
        shapes, own_name, {"text_model.head.weight", "vision_model.head.probe", "logit_bias"}
    )


def _read_tokenizer(tokenizer: str | Path) -> str:
    if isinstance(tokenizer, str) and tokenizer.lstrip().startswith("{"):
        return tokenizer
    try:
        return Path(tokenizer).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"cannot read the tokenizer {tokenizer}: {error}") from error
