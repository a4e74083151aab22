"""CLIPScore: how well a picture and its prompt agree for CLIP; the baseline of every comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from beholder.errors import ConfigError
from beholder.rewards._base import RewardCard, take_options
from beholder.rewards._card import Accuracy, Parity
from beholder.rewards._cosine import CosineReward
from beholder.rewards._towers import Towers, build_towers

_RULES = {"hessel": (2.5, "A photo depicts "), "torchmetrics": (100.0, "")}
VIT_B_32 = {"kind": "open_clip", "name": "ViT-B-32-quickgelu"}
"""The towers of the paper; their weights are open_clip's tag "openai"."""


class CLIPScore(CosineReward):
    """weight * max(cos(picture, text), 0) (Hessel et al., EMNLP 2021, eq. 1), on any towers.

    Args:
        towers: the encoders.
        protocol: "hessel", weight 2.5 and the text "A photo depicts " before every prompt; or
            "torchmetrics", weight 100 and the bare prompt.
    """

    card = RewardCard(
        name="clipscore",
        paper="Hessel et al., CLIPScore: A Reference-free Evaluation Metric for Image Captioning, "
        "EMNLP 2021",
        measures="how well the picture agrees with the prompt",
        weights_license="MIT",
        weights="ViT-B-32-quickgelu, tag openai, fetched by open_clip",
        score_range=(0.0, 2.5),
        accuracy=(
            Accuracy(
                "ImageReward test", 54.82, "raw cosine of ViT-L/14", "Xu et al., 2023, table 3"
            ),
        ),
        parity=(
            Parity(
                "open_clip 3.3.0 with its Pillow transform",
                2e-4,
                0.13,
                "tiny model, twelve pictures of 96 x 80",
            ),
        ),
        float_error=0.005,
        bf16_error=0.3,
        fp16_error=0.03,
        notes=(
            "the paper's protocol: 2.5 * max(cos, 0) with the prefix 'A photo depicts ', ViT-B/32",
            "protocol='torchmetrics': 100 * max(cos, 0) without prefix; that package clips the "
            "mean of all pictures, this one every picture, and its default is ViT-L/14",
            "float32 on every device; the paper used float16 on a GPU",
            "pictures at a negative cosine score 0 and give no gradient",
        ),
    )

    def __init__(self, towers: Towers, *, protocol: str = "hessel") -> None:
        super().__init__(towers)
        if protocol not in _RULES:
            raise ConfigError(f"protocol is 'hessel' or 'torchmetrics', got {protocol!r}")
        self.protocol = protocol
        self.weight, self.prefix = _RULES[protocol]
        vars(self)["card"] = replace(type(self).card, score_range=(0.0, self.weight))

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> CLIPScore:
        given = take_options(options, {"towers", "protocol"}, "clipscore")
        towers = build_towers(cast("Mapping[str, object]", given.pop("towers", VIT_B_32)))
        return cls(towers, **cast("Any", given))

    @override
    def options(self) -> dict[str, object]:
        return {"towers": self.towers.options(), "protocol": self.protocol}

    @override
    def from_cosine(self, cosine: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return self.weight * cosine.clamp(min=0)


def build(
    weights: str | Path | None = None,
    config: Mapping[str, object] | None = None,
    towers: Mapping[str, object] | Towers | None = None,
    protocol: str = "hessel",
) -> CLIPScore:
    """CLIPScore with OpenAI's ViT-B/32, or as a baseline over other towers.

    Args:
        weights: a local file that open_clip reads for ViT-B/32; None with neither `config` nor
            `towers` fetches OpenAI's.
        config: values put over open_clip's configuration of ViT-B/32, such as
            `{"vision_cfg": {"layers": 2}}`; without `weights` the model is random.
        towers: other encoders, built or as options of `build_towers`.
        protocol: "hessel" or "torchmetrics".

    Raises:
        ConfigError: if an option is unknown, or `towers` come with `weights` or `config`.
        WeightsError: if the weights are missing or do not fit.
    """
    if towers is None:
        fetched = "openai" if config is None else None
        pretrained = fetched if weights is None else str(weights)
        towers = {**VIT_B_32, "pretrained": pretrained, "overrides": config or {}}
    elif weights is not None or config is not None:
        raise ConfigError("give either towers or the weights and config of ViT-B/32, not both")
    built = towers if isinstance(towers, Towers) else build_towers(towers)
    return CLIPScore(built, protocol=protocol)
