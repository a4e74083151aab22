"""CycleReward: which picture, made back into text, gives the prompt again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from beholder._published.weights import Published
from beholder.errors import ConfigError
from beholder.rewards._base import RewardCard
from beholder.rewards._blip.fused import FusedReward, build_fused, is_fused
from beholder.rewards._blip.fused import own_name as own_name
from beholder.rewards._card import Parity

PUBLISHED = {
    "combo": Published("carolineec/CycleReward-Combo", "model.safetensors", "main", None),
    "t2i": Published("carolineec/CycleReward-T2I", "model.safetensors", "main", None),
    "i2t": Published("carolineec/CycleReward-I2T", "model.safetensors", "main", None),
}
"""Weights by the pairs they learnt from: both kinds, pictures of a text, or texts of a picture."""


class CycleReward(FusedReward):
    """mlp([CLS]) with GELU, on BLIP whose text looks at the picture (Bahng et al., ICCV 2025).

    It learnt from pairs that no person has judged: better is what a second model turns back into
    something nearer to the original.
    """

    card = RewardCard(
        name="cyclereward",
        paper="Bahng et al., Cycle Consistency as Reward: Learning Image-Text Alignment without "
        "Human Preferences, ICCV 2025",
        measures="how well picture and text agree, long captions included",
        weights_license="MIT",
        weights="carolineec/CycleReward-Combo, -T2I or -I2T",
        parity=(
            Parity(
                against="cyclereward 0.1.7",
                error=3e-6,
                spread=0.18,
                how="tiny model, 36 pairs, pictures resized by Pillow; 0.001 on whole pictures",
            ),
        ),
        float_error=0.01,
        bf16_error=0.1,
        fp16_error=0.02,
        notes=(
            "variant='combo' learnt from both kinds of pairs, 't2i' from pictures of one text, "
            "'i2t' from texts of one picture",
            "the authors' package fetches its weights from a GitHub release; the hub's copies are "
            "expected as model.safetensors, and a release's .pth loads as weights=",
            "prompts are cut to 128 tokens, [CLS] and [SEP] included",
            "scores have no fixed mean or range; those of two variants do not compare",
            "pictures: shorter side to 224, bicubic, centre cut; transparent ones are put on a "
            "background first, while the published code drops alpha after resizing",
            "special tokens typed into a prompt are read as plain text",
        ),
    )
    max_length: ClassVar[int] = 128

    @staticmethod
    @override
    def layers(widths: Sequence[int]) -> list[nn.Module]:
        hidden = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.GELU())]
        return [*hidden, nn.Linear(widths[-1], 1)]

    @override
    def scaled(self, raw: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return raw


def build(
    weights: str | Path | None = None,
    config: Mapping[str, object] | None = None,
    variant: str = "combo",
    tokenizer: str | Path | None = None,
) -> CycleReward:
    """CycleReward with published weights, those of a file, or random ones.

    Args:
        weights: a published file, of any variant; None without `config` fetches that of `variant`.
        config: sizes that differ from the published ones: "vision", "text" and "head".
        variant: "combo", "t2i" or "i2t"; the architecture is the same.
        tokenizer: vocab.txt of another BERT, or its text; None fetches that of bert-base-uncased.

    Raises:
        ConfigError: if an option or size is unknown or out of range, or the vocabulary has another
            size.
        WeightsError: if the weights or the vocabulary are missing, damaged or do not fit.
    """
    if variant not in PUBLISHED:
        raise ConfigError(f"variant is one of {', '.join(PUBLISHED)}; got {variant!r}")
    return build_fused(CycleReward, PUBLISHED[variant], weights, config, tokenizer)


def recognises(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a file with these keys is CycleReward's: BLIP and a head whose last layer is 8."""
    return is_fused(shapes, 8)
