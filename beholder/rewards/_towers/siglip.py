"""Towers over transformers' `SiglipModel`; the tokenizer is saved beside their weights."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from typing_extensions import override

from beholder.errors import ConfigError, WeightsError
from beholder.rewards._base import take_options
from beholder.rewards._saved_text import SavedText
from beholder.rewards._towers._base import Features, Span, Towers
from beholder.rewards._towers._configs import checked_config
from beholder.rewards._towers.clip import prepare

_PUNCTUATION = frozenset(string.punctuation)
_HALF = (0.5, 0.5, 0.5)


class SiglipTowers(SavedText, Towers):
    """transformers' SigLIP. `model` keeps the names of published weights: `text_model.…`.

    A text is read as SigLIP was trained: in small letters, without punctuation, filled up to
    `length` tokens; every position looks at all others, the padding too, and the last one stands
    for the text. Picture token 0 is the attention pool's state, the others are those of the grid.

    Args:
        text: values of `SiglipTextConfig`; its `projection_size` is the width of the shared space.
        vision: values of `SiglipVisionConfig`; its `hidden_size` has to be that width.
        tokenizer: the text of a tokenizer.json; None until `load_state_dict` brings it.
        pad_token: what fills short texts.
        preprocess: values of `Preprocess` that differ from SigLIP's.
    """

    def __init__(
        self,
        text: Mapping[str, object],
        vision: Mapping[str, object],
        tokenizer: str | None = None,
        pad_token: str = "</s>",
        preprocess: Mapping[str, object] | None = None,
    ) -> None:
        from transformers import (  # noqa: PLC0415
            SiglipConfig,
            SiglipModel,
            SiglipTextConfig,
            SiglipVisionConfig,
        )

        super().__init__()
        text = checked_config(SiglipTextConfig, text, "text of siglip towers")
        vision = checked_config(SiglipVisionConfig, vision, "vision of siglip towers")
        self._text, self._vision = dict(text), dict(vision)
        ends = {"bos_token_id": None, "eos_token_id": None}  # CLIP's by default; nothing reads them
        config = SiglipConfig(text_config={**ends, **self._text}, vision_config=self._vision)
        self.dim = int(config.vision_config.hidden_size)
        if config.text_config.projection_size != self.dim:
            raise ConfigError(
                f"texts are projected to {config.text_config.projection_size} values, pictures "
                f"have {self.dim}"
            )
        self.model: Any = SiglipModel(config)
        self.length = int(config.text_config.max_position_embeddings)
        self._saved, self._pad_token, self._pad_id, self._ends_with_pad = "", pad_token, 0, False
        self._tokenizer: Any = None
        if tokenizer is not None:
            self._take(tokenizer)
        size = int(config.vision_config.image_size)
        self.preprocess = prepare(size, _HALF, _HALF, {"fit": "squash", **(preprocess or {})})

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> SiglipTowers:
        known = {"text", "vision", "tokenizer", "pad_token", "preprocess"}
        given = take_options(options, known, "siglip towers")
        return cls(**cast("Any", {"text": {}, "vision": {}, **given}))

    @override
    def options(self) -> dict[str, object]:
        return {
            "kind": "siglip",
            "text": self._text,
            "vision": self._vision,
            "pad_token": self._pad_token,
            "preprocess": asdict(self.preprocess),
        }

    @property
    @override
    def logit_scale(self) -> Tensor:
        scale: Tensor = self.model.logit_scale
        return scale.reshape(())

    @property
    def logit_bias(self) -> Tensor:
        """What is added to a scaled cosine; one number."""
        bias: Tensor = self.model.logit_bias
        return bias.reshape(())

    @override
    def tokenize(self, texts: Sequence[str]) -> Int[Tensor, "b l"]:
        canonical = [canonical_text(text)[0] for text in texts]
        rows = [encoding.ids for encoding in self._ready.encode_batch(canonical)]
        ids = torch.tensor(rows, dtype=torch.long).reshape(len(rows), self.length)
        return ids.to(self.device)

    @override
    def padding(self, ids: Int[Tensor, "b l"]) -> Bool[Tensor, "b l"]:
        """True behind the end of a text, which SigLIP's own tokenizer spells like the padding."""
        behind = ids.eq(self._pad_id).flip(1).cummin(dim=1).values.flip(1)
        if not self._ends_with_pad:
            return behind
        started = torch.nn.functional.pad(behind[:, :-1], (1, 0))
        return behind & started

    @override
    def token_spans(self, text: str) -> list[Span | None]:
        canonical, places = canonical_text(text)
        encoding = self._ready.encode(canonical)
        return [
            (places[start], places[end - 1] + 1) if end > start and not special else None
            for (start, end), special in zip(
                encoding.offsets, encoding.special_tokens_mask, strict=True
            )
        ]

    @override
    def image_backbone(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Features:
        states = self.model.vision_model(pixel_values=pixel_values.to(self.dtype))
        pooled = states.pooler_output
        return Features(torch.cat((pooled[:, None], states.last_hidden_state), dim=1), pooled)

    @override
    def text_backbone(self, ids: Int[Tensor, "b l"]) -> Features:
        states = self.model.text_model(input_ids=ids).last_hidden_state
        return Features(states, states[:, -1])

    @override
    def project_image(self, features: Features) -> Features:
        return features

    @override
    def project_text(self, features: Features) -> Features:
        project = self.model.text_model.head
        return Features(project(features.tokens), project(features.pooled))

    @property
    def _ready(self) -> Any:
        if self._tokenizer is None:
            raise ConfigError("siglip towers have no tokenizer; give them the option tokenizer")
        return self._tokenizer

    @override
    def _take(self, text: str) -> None:
        from tokenizers import Tokenizer  # noqa: PLC0415

        try:
            tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the library raises nothing narrower
            raise WeightsError(f"the tokenizer is not a tokenizer.json: {error}") from error
        pad_id = tokenizer.token_to_id(self._pad_token)
        if pad_id is None:
            raise ConfigError(f"the tokenizer has no token {self._pad_token!r}; name its pad_token")
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # a special that a prompt spells out is plain text
        self._ends_with_pad = tokenizer.encode("a").ids[-1] == pad_id
        tokenizer.enable_truncation(self.length)
        tokenizer.enable_padding(length=self.length, pad_id=pad_id, pad_token=self._pad_token)
        self._saved, self._tokenizer, self._pad_id = text, tokenizer, int(pad_id)


def canonical_text(text: str) -> tuple[str, list[int]]:
    """A text as SigLIP reads it, and the place in `text` of each of its characters.

    Small letters, no ASCII punctuation, single spaces, none at the ends (Zhai et al., 2023).
    """
    places = [place for place, letter in enumerate(text) for _ in letter.lower()]
    kept: list[tuple[str, int]] = []
    for letter, place in zip(text.replace("▁", " ").lower(), places, strict=True):
        is_space = letter.isspace()
        is_repeated = is_space and (not kept or kept[-1][0] == " ")
        if letter not in _PUNCTUATION and not is_repeated:
            kept.append((" " if is_space else letter, place))
    if kept and kept[-1][0] == " ":
        kept.pop()
    return "".join(letter for letter, _ in kept), [place for _, place in kept]
