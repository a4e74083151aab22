"""Towers over transformers' `CLIPModel`, with the tokenizer built from a packaged vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from typing_extensions import override

from beholder.errors import ConfigError
from beholder.rewards._base import take_options
from beholder.rewards._preprocess import CLIP_MEAN, CLIP_STD, Preprocess
from beholder.rewards._towers._base import Features, Span, Towers
from beholder.rewards._towers._configs import checked_config
from beholder.rewards._towers._pooled import clip_image, in_buckets, pooled_alone

START, END = 49406, 49407
"""Ids of `<|startoftext|>` and `<|endoftext|>`, the last entries of CLIP's vocabulary."""

CLIP_H = {
    "text": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "hidden_act": "gelu",
    },
    "vision": {
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "patch_size": 14,
        "hidden_act": "gelu",
    },
    "projection_dim": 1024,
}
"""Sizes of laion/CLIP-ViT-H-14-laion2B-s32B-b79K, which MPS and PickScore start from."""


class ClipTowers(Towers):
    """transformers' CLIP. `model` keeps the names of published weights: `text_model.…`.

    Picture tokens are the encoder's last states without the final norm, text tokens those after
    the final norm, padding included (the pads are `<|endoftext|>`, as the published tokenizer
    gives them). A prompt in which somebody typed `<|endoftext|>` is read as plain text here, while
    the published tokenizer ends it there.

    Args:
        text: values of `CLIPTextConfig`. `eos_token_id` is 2 unless given: the text is pooled at
            its highest id, the rule of the published checkpoints.
        vision: values of `CLIPVisionConfig`.
        projection_dim: width of the shared space.
        preprocess: values of `Preprocess` that differ from CLIP's.
    """

    def __init__(
        self,
        text: Mapping[str, object],
        vision: Mapping[str, object],
        projection_dim: int = 512,
        preprocess: Mapping[str, object] | None = None,
    ) -> None:
        from transformers import (  # noqa: PLC0415
            CLIPConfig,
            CLIPModel,
            CLIPTextConfig,
            CLIPVisionConfig,
        )

        super().__init__()
        text = checked_config(CLIPTextConfig, text, "text of clip towers")
        vision = checked_config(CLIPVisionConfig, vision, "vision of clip towers")
        self._text = {"eos_token_id": 2, **text, "projection_dim": projection_dim}
        self._vision = {**vision, "projection_dim": projection_dim}
        config = CLIPConfig(
            text_config=self._text, vision_config=self._vision, projection_dim=projection_dim
        )
        self.model: Any = CLIPModel(config)
        self.dim = projection_dim
        self.context_length = int(config.text_config.max_position_embeddings)
        size = int(config.vision_config.image_size)
        self.preprocess = prepare(size, CLIP_MEAN, CLIP_STD, preprocess or {})

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> ClipTowers:
        known = {"text", "vision", "projection_dim", "preprocess"}
        return cls(
            **cast("Any", {"text": {}, "vision": {}, **take_options(options, known, "clip")})
        )

    @override
    def options(self) -> dict[str, object]:
        return {
            "kind": "clip",
            "text": self._text,
            "vision": self._vision,
            "projection_dim": self.dim,
            "preprocess": asdict(self.preprocess),
        }

    @property
    @override
    def logit_scale(self) -> Tensor:
        return cast("Tensor", self.model.logit_scale)

    @override
    def tokenize(self, texts: Sequence[str]) -> Int[Tensor, "b l"]:
        ids = clip_encoding(list(texts), self.context_length)["input_ids"]
        return ids.to(self.device)

    @override
    def padding(self, ids: Int[Tensor, "b l"]) -> Bool[Tensor, "b l"]:
        return after_highest(ids)

    @override
    def token_spans(self, text: str) -> list[Span | None]:
        return clip_spans(text, self.context_length)

    @override
    def image_backbone(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Features:
        values = pixel_values.to(self.dtype)
        states = self.model.vision_model(pixel_values=values)
        return Features(states.last_hidden_state, states.pooler_output)

    @override
    def text_backbone(self, ids: Int[Tensor, "b l"]) -> Features:
        states = self.model.text_model(input_ids=ids)
        return Features(states.last_hidden_state, states.pooler_output)

    @override
    def pooled_image_backbone(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Features:
        return pooled_alone(clip_image(self.model, pixel_values.to(self.dtype)))

    @override
    def pooled_text_backbone(self, texts: Sequence[str]) -> Features:
        states = in_buckets(self.tokenize(texts), lambda ids: self.text_backbone(ids).pooled)
        return pooled_alone(states)

    @override
    def project_image(self, features: Features) -> Features:
        project = self.model.visual_projection
        return Features(project(features.tokens), project(features.pooled))

    @override
    def project_text(self, features: Features) -> Features:
        project = self.model.text_projection
        return Features(project(features.tokens), project(features.pooled))


@cache
def clip_tokenizer(length: int = 77) -> Any:
    """CLIP's tokenizer from the vocabulary that open_clip ships; needs no network.

    One for each length: it keeps the length it was last called with, and threads share it.
    """
    from open_clip.tokenizer import SimpleTokenizer  # noqa: PLC0415
    from transformers import CLIPTokenizer  # noqa: PLC0415

    packaged = SimpleTokenizer()
    vocabulary = {token: at for token, at in packaged.encoder.items() if at < START}
    vocabulary |= {"<|startoftext|>": START, "<|endoftext|>": END}
    return CLIPTokenizer(vocab=vocabulary, merges=list(packaged.bpe_ranks))


def clip_encoding(texts: list[str], length: int) -> Mapping[str, Tensor]:
    """`input_ids` and `offset_mapping` of texts, cut or padded with `<|endoftext|>` to `length`."""
    encoding: Mapping[str, Tensor] = clip_tokenizer(length)(
        texts,
        padding="max_length",
        max_length=length,
        truncation=True,
        split_special_tokens=True,
        return_offsets_mapping=True,
        return_tensors="pt",
    )
    return encoding


def clip_spans(text: str, length: int) -> list[Span | None]:
    """Where each token of `clip_encoding` comes from; None for specials and padding."""
    offsets = clip_encoding([text], length)["offset_mapping"][0].tolist()
    return [(start, end) if end > start else None for start, end in offsets]


def after_highest(ids: Int[Tensor, "b l"]) -> Bool[Tensor, "b l"]:
    """True after the first highest id of a row: behind CLIP's end of text, whatever the pads."""
    places = torch.arange(ids.shape[1], device=ids.device)
    return places > ids.argmax(dim=1, keepdim=True)


def prepare(
    size: int, mean: Sequence[float], std: Sequence[float], given: Mapping[str, object]
) -> Preprocess:
    """`Preprocess` of that size, mean and deviation, with the values of `given` put over it."""
    values = {"size": size, "mean": tuple(mean), "std": tuple(std)}
    known = set(Preprocess.__dataclass_fields__)
    values |= take_options(given, known, "preprocess")
    for name in ("mean", "std"):
        values[name] = tuple(cast("Sequence[float]", values[name]))
    if values["size"] != size:
        raise ConfigError(
            f"the picture encoder takes {size} pixels, preprocess says {values['size']}"
        )
    return Preprocess(**cast("Any", values))
