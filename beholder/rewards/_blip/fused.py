"""Rewards whose text encoder looks at the picture, with a small net on the state of [CLS]."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar, cast

from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from beholder._published.weights import Published, fetch
from beholder.errors import ConfigError
from beholder.rewards._base import take_options
from beholder.rewards._blip.encoders import (
    LARGE,
    BlipEncoders,
    blip_preprocess,
    blip_sizes,
    run_head,
)
from beholder.rewards._blip.names import encoder_name
from beholder.rewards._blip.tokens import WordPieces, read_vocabulary
from beholder.rewards._encoded import EncodedReward
from beholder.rewards._precision import at_least_float32
from beholder.rewards._preprocess import Preprocess
from beholder.rewards._towers import Features
from beholder.rewards._weights import load_published, unfilled
from beholder.types import Scores

HEAD = (1024, 128, 64, 16)
"""Widths between the state of [CLS] and the score in every published head."""


class FusedReward(EncodedReward):
    """score = mlp(state of [CLS] after the text has looked at the picture in every layer).

    Args:
        config: sizes that differ from the published ones: "vision" and "text" as `LARGE` has them,
            and "head", the widths of the layers between [CLS] and the score.
        tokenizer: the vocabulary, a word piece a line; None until `load_state_dict` brings it.
    """

    float32: ClassVar[tuple[str, ...]] = ("mlp",)

    max_length: ClassVar[int]
    """Tokens of a prompt, with [CLS] and [SEP]; longer ones are cut."""

    def __init__(
        self, config: Mapping[str, object] | None = None, tokenizer: str | None = None
    ) -> None:
        super().__init__()
        given = take_options(config or {}, {*LARGE, "head"}, f"config of {self.card.name}")
        self._widths = _checked(given.pop("head", HEAD))
        self._sizes = blip_sizes(given)
        self.tokenizer = WordPieces(tokenizer, max_length=self.max_length)
        self.blip = BlipEncoders(self._sizes)
        self.mlp = nn.Sequential(*self.layers([self._sizes["text"]["hidden_size"], *self._widths]))
        self._preprocess = blip_preprocess(self._sizes)

    @staticmethod
    @abstractmethod
    def layers(widths: Sequence[int]) -> list[nn.Module]:
        """The layers of the head: through `widths` to 1, in the order of the published file."""

    @abstractmethod
    def scaled(self, raw: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """The score of what the head gives."""

    @classmethod
    @override
    def from_options(cls, options: Mapping[str, object]) -> FusedReward:
        given = take_options(options, {"config"}, cls.card.name)
        return cls(cast("Mapping[str, object] | None", given.get("config")))

    @override
    def options(self) -> dict[str, object]:
        return {"config": {**self._sizes, "head": list(self._widths)}}

    @property
    @override
    def fitting(self) -> Preprocess:
        return self._preprocess

    @override
    def encode(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Tensor | Features:
        return self.blip.see(pixel_values)

    @override
    def score_encoded(self, encoded: Tensor | Features, prompts: Sequence[str]) -> Scores:
        seen = cast("Tensor", encoded)
        ids, real = (part.to(seen.device) for part in self.tokenizer(prompts))
        return Scores(self._read(seen, ids, real))

    def tower_modules(self) -> tuple[nn.Module, nn.Module]:
        """The picture tower and the text tower; the head is the net on the state of [CLS].

        The text tower looks at the picture, so there are no states of a picture or a text alone
        that a trainer of the head could keep.
        """
        return self.blip.vision, self.blip.text

    def forward_features(
        self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor
    ) -> Float[Tensor, " b"]:
        """One score a row from prepared inputs.

        `pixel_values` are (b, 3, s, s), `input_ids` (b, l), `attention_mask` (b, l) is 0 at pads.
        """
        return self._read(self.blip.see(pixel_values), input_ids, attention_mask.bool())

    def _read(self, seen: Tensor, ids: Tensor, real: Tensor) -> Float[Tensor, " b"]:
        raw = run_head(self.mlp, self.blip.read(ids, real, seen))
        return self.scaled(at_least_float32(raw[:, 0]))


Kind = TypeVar("Kind", bound=FusedReward)


def build_fused(
    kind: type[Kind],
    published: Published,
    weights: str | Path | None,
    config: Mapping[str, object] | None,
    tokenizer: str | Path | None,
) -> Kind:
    """A reward with `published` weights, those of a file, or random ones if only `config` is given.

    Raises ConfigError or WeightsError as `build` of a reward says.
    """
    if weights is None and config is None:
        weights = fetch(published)  # before half a billion random weights are drawn in vain
    sizes = {k: v for k, v in (config or {}).items() if k in LARGE}
    vocabulary = read_vocabulary(tokenizer, blip_sizes(sizes)["text"]["vocab_size"])
    with unfilled(when=weights is not None):
        reward = kind(config, vocabulary)
    if weights is not None:
        load_published(reward, weights, own_name)
    return reward


def own_name(key: str) -> str | None:
    """This package's name of a published key: BLIP's encoders below `blip`, the head's layers.

    None for the projections of BLIP's contrastive loss, which the file holds and no score needs.
    """
    if re.match(r"blip\.(vision|text)_proj\.", key):
        return None
    if key.startswith("blip."):
        return encoder_name(key.removeprefix("blip."))
    return re.sub(r"^mlp\.layers\.", "mlp.", key)


def is_fused(shapes: Mapping[str, tuple[int, ...]], last: int) -> bool:
    """Whether a file with these keys is of a reward whose head ends in its layer number `last`."""
    known = {"blip.visual_encoder.cls_token", f"mlp.layers.{last}.weight"}
    return known <= set(shapes) and f"mlp.layers.{last + 1}.weight" not in shapes


def _checked(widths: object) -> tuple[int, ...]:
    sizes = tuple(widths) if isinstance(widths, list | tuple) else ()
    if len(sizes) != len(HEAD) or not all(type(w) is int and w > 0 for w in sizes):
        raise ConfigError(f"head takes {len(HEAD)} whole numbers above 0, got {widths!r}")
    return sizes
