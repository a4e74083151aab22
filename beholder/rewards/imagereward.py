"""ImageReward: what people prefer, learnt from rankings of pictures of one prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from beholder._published.downloads import download
from beholder._published.weights import Published
from beholder.errors import ConfigError
from beholder.rewards._base import RewardCard
from beholder.rewards._blip.fused import FusedReward, build_fused, is_fused
from beholder.rewards._blip.fused import own_name as own_name
from beholder.rewards._blip.names import encoder_name
from beholder.rewards._card import Accuracy, Parity
from beholder.rewards._weights import load_published

PUBLISHED = Published(
    "THUDM/ImageReward", "ImageReward.pt", "5736be03b2652728fb87788c9797b0570450ab72", None
)
MEAN, STD = 0.16717362830052426, 1.0333394966054072
"""Of the raw scores on the authors' data; the published score is standardised with them."""

BLIP_LARGE = (
    "https://storage.googleapis.com/sfr-vision-language-research/BLIP/models/model_large.pth"
)
"""BLIP with ViT-L/16, pretrained and not tuned: what ImageReward was trained from."""

_DROPOUTS = (0.2, 0.2, 0.1)


class ImageReward(FusedReward):
    """(mlp([CLS]) - mean) / std, on BLIP whose text looks at the picture (Xu et al., NeurIPS 2023).

    The head has no activations: five affine maps, with dropout in training.
    """

    card = RewardCard(
        name="imagereward",
        paper="Xu et al., ImageReward: Learning and Evaluating Human Preferences for Text-to-Image "
        "Generation, NeurIPS 2023",
        measures="what people prefer among pictures of one prompt",
        weights_license="Apache-2.0",
        weights=f"{PUBLISHED.repo}, {PUBLISHED.file}",
        accuracy=(
            Accuracy(
                "ImageReward test",
                65.14,
                "pairs that people ranked equal dropped, equal scores wrong",
                "Xu et al., 2023, table 3",
            ),
            Accuracy("MHP overall", 67.5, "as MPS was measured", "MPS README"),
        ),
        parity=(
            Parity(
                against="image-reward 1.5",
                error=7e-6,
                spread=0.42,
                how="tiny model, 36 pairs, pictures resized by Pillow; 0.004 on whole pictures. At "
                "the published sizes, random weights, 6 pairs of spread 0.002: 2e-6",
            ),
        ),
        float_error=0.01,
        bf16_error=0.1,
        fp16_error=0.02,
        notes=(
            "prompts are cut to 35 tokens, [CLS] and [SEP] included",
            "standardised: 0 is the mean and 1 the standard deviation of the authors' data",
            "pictures: shorter side to 224, bicubic, centre cut; transparent ones are put on a "
            "background first, while the published code drops alpha after resizing",
            "the text's [CLS] is read; BLIP's own matching reads [ENC]",
            "special tokens typed into a prompt are read as plain text",
        ),
    )
    max_length: ClassVar[int] = 35

    @staticmethod
    @override
    def layers(widths: Sequence[int]) -> list[nn.Module]:
        found: list[nn.Module] = []
        for at, (width, following) in enumerate(pairwise(widths)):
            found.append(nn.Linear(width, following))
            if at < len(_DROPOUTS):
                found.append(nn.Dropout(_DROPOUTS[at]))
        return [*found, nn.Linear(widths[-1], 1)]

    @override
    def scaled(self, raw: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return (raw - MEAN) / STD


def build(
    weights: str | Path | None = None,
    config: Mapping[str, object] | None = None,
    tokenizer: str | Path | None = None,
    backbone: str | Path | None = None,
) -> ImageReward:
    """ImageReward with the published weights, those of a file, or a new one.

    Args:
        weights: the published `ImageReward.pt`; None with neither `config` nor `backbone` fetches
            it.
        config: sizes that differ from the published ones: "vision", "text" and "head".
        tokenizer: vocab.txt of another BERT, or its text; None fetches that of bert-base-uncased.
        backbone: what a new ImageReward is trained from: a file of BLIP's own with both encoders,
            or "blip_large", which downloads its authors' `model_large.pth`. The head is drawn
            anew, as by Xu et al.: weights from N(0, 1 / (width of [CLS] + 1)), biases 0.

    Raises:
        ConfigError: if a size is unknown or out of range, the vocabulary has another size, or both
            `weights` and `backbone` are given.
        WeightsError: if the weights or the vocabulary are missing, damaged or do not fit.
    """
    if backbone is None:
        return build_fused(ImageReward, PUBLISHED, weights, config, tokenizer)
    if weights is not None:
        raise ConfigError("imagereward takes either weights or a backbone, not both; leave one out")
    file = download(BLIP_LARGE, None) if backbone == "blip_large" else backbone
    reward = build_fused(ImageReward, PUBLISHED, None, config or {}, tokenizer)
    load_published(reward, file, _backbone_name, computed=("mlp.*",))
    _draw_head(reward)
    return reward


def _backbone_name(key: str) -> str | None:
    """This package's name of a key of BLIP's own file; None for all but its two encoders."""
    name = encoder_name(key)
    return name if name is not None and name.startswith("blip.") else None


@torch.no_grad()
def _draw_head(reward: ImageReward) -> None:
    layers = [layer for layer in reward.mlp if isinstance(layer, nn.Linear)]
    for layer in layers:
        nn.init.normal_(layer.weight, std=1 / (layers[0].in_features + 1))
        nn.init.zeros_(layer.bias)


def recognises(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a file with these keys is ImageReward's: BLIP and a head whose last layer is 7."""
    return is_fused(shapes, 7)
