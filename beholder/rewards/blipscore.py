"""BLIPScore: how well a picture and its prompt agree for BLIP, apart or looking at each other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, cast, get_args

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder._published.weights import Published, fetch, read_state, renamed
from beholder.errors import ConfigError
from beholder.rewards._base import RewardCard, take_options
from beholder.rewards._blip.encoders import (
    LARGE,
    BlipEncoders,
    Sizes,
    blip_preprocess,
    blip_sizes,
    run_head,
)
from beholder.rewards._blip.names import encoder_name, sizes_told
from beholder.rewards._blip.tokens import WordPieces, read_vocabulary
from beholder.rewards._card import Accuracy, Parity
from beholder.rewards._encoded import EncodedReward
from beholder.rewards._precision import at_least_float32
from beholder.rewards._preprocess import Fit, Preprocess
from beholder.rewards._text_cache import TextCache
from beholder.rewards._towers import Features
from beholder.rewards._weights import load_published, unfilled
from beholder.types import Scores

PUBLISHED = Published(
    "Salesforce/blip-itm-large-coco",
    "model.safetensors",
    "c0273606af96037e7a3b2fb0ff4ae9620b517be6",
    None,
)
Mode = Literal["itc", "itm"]

_RANGES = {"itc": (-1.0, 1.0), "itm": (0.0, 1.0)}
_LENGTH = 35  # tokens of a prompt in BLIP's retrieval and in ImageReward's baseline
_PROJECTION = 256
_RETRIEVAL: Sizes = {**LARGE, "vision": {**LARGE["vision"], "image_size": 384}}
_UNUSED = re.compile(
    r"(visual_encoder_m|text_encoder_m|vision_proj_m|text_proj_m|text_decoder|text_decoder_m)\."
    r"|(temp|queue_ptr|ptr_queue|idx_queue|image_queue|text_queue)$"
)


class BLIPScore(EncodedReward):
    """BLIP's agreement of picture and text (Li et al., ICML 2022, section 3.2).

    Args:
        config: sizes that differ from those of the published weights: "vision" and "text" as
            `LARGE` has them, and "projection_dim", the width of the shared space.
        mode: "itc": the cosine of the projected picture and text, which never meet before; or
            "itm": the probability that they match, after the text, [ENC] first, has looked at the
            picture in every layer.
        fit: "squash" as BLIP's retrieval, or "crop" as ImageReward's baseline.
        tokenizer: the vocabulary, a word piece a line; None until `load_state_dict` brings it.
    """

    float32: ClassVar[tuple[str, ...]] = ("vision_proj", "text_proj", "itm_head")

    card = RewardCard(
        name="blipscore",
        paper="Li et al., BLIP: Bootstrapping Language-Image Pre-training for Unified "
        "Vision-Language Understanding and Generation, ICML 2022",
        measures="how well the picture agrees with the prompt",
        weights_license="BSD-3-Clause",
        weights=f"{PUBLISHED.repo}: BLIP with ViT-L/16 at 384 pixels, tuned for retrieval on COCO",
        score_range=(-1.0, 1.0),
        accuracy=(
            Accuracy(
                "ImageReward test",
                57.76,
                "cosine of BLIP's model_large.pth, 224 pixels, fit='crop'",
                "Xu et al., 2023, table 3",
            ),
        ),
        parity=(
            Parity(
                against="BLIPScore of image-reward 1.5 (mode='itc')",
                error=3e-8,
                spread=0.016,
                how="tiny model, 36 pairs, pictures resized by Pillow; 4e-5 on whole pictures",
            ),
            Parity(
                against="BlipForImageTextRetrieval of transformers 5 (mode='itm', [ENC] given)",
                error=1e-6,
                spread=0.02,
                how="tiny random model, prepared inputs",
            ),
        ),
        float_error=0.01,
        bf16_error=0.2,
        fp16_error=0.02,
        notes=(
            "mode='itc' is the cosine in [-1, 1]; mode='itm' the probability of a match in [0, 1], "
            "which is flat, almost without gradient, near both ends",
            "the weights of BLIP's own files are read too: model_large.pth with fit='crop' is the "
            "baseline of ImageReward; the picture encoder's sizes are those of the file",
            "mode='itm' puts [ENC] first, as BLIP's training and retrieval; transformers' "
            "processor and BLIP's demo leave [CLS]",
            "prompts are cut to 35 tokens, [CLS] and [SEP] included; special tokens typed into "
            "them are read as plain text",
        ),
    )

    def __init__(
        self,
        config: Mapping[str, object] | None = None,
        *,
        mode: str = "itc",
        fit: str = "squash",
        tokenizer: str | None = None,
    ) -> None:
        super().__init__()
        _check_choice("mode", mode, get_args(Mode))
        _check_choice("fit", fit, get_args(Fit))
        self.mode, self._fit = mode, fit
        self._sizes, self._dim = _read_config(config or {}, _RETRIEVAL)
        self._preprocess = blip_preprocess(self._sizes, fit)
        self.tokenizer = WordPieces(tokenizer, max_length=_LENGTH)
        self.blip = BlipEncoders(self._sizes)
        width = self._sizes["text"]["hidden_size"]
        self.vision_proj = nn.Linear(self._sizes["vision"]["hidden_size"], self._dim)
        self.text_proj = nn.Linear(width, self._dim)
        self.itm_head = nn.Linear(width, 2)
        self._texts = TextCache()
        vars(self)["card"] = replace(type(self).card, score_range=_RANGES[mode])

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> BLIPScore:
        given = take_options(options, {"config", "mode", "fit"}, "blipscore")
        return cls(**cast("Any", given))

    @override
    def options(self) -> dict[str, object]:
        config = {**self._sizes, "projection_dim": self._dim}
        return {"config": config, "mode": self.mode, "fit": self._fit}

    @property
    @override
    def fitting(self) -> Preprocess:
        return self._preprocess

    @override
    def encode(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Tensor | Features:
        """States of all tokens (b, n, v) where texts look at them, otherwise projected (b, d)."""
        seen = self.blip.see(pixel_values)
        return seen if self.mode == "itm" else run_head(self.vision_proj, seen[:, 0])

    @override
    def score_encoded(self, encoded: Tensor | Features, prompts: Sequence[str]) -> Scores:
        pictures = cast("Tensor", encoded)
        if self.mode == "itm":
            return Scores(self._match(pictures, *self._tokens(prompts)))
        (texts,) = self._texts.states(
            prompts, self, lambda missing: (self._project(*self._tokens(missing)),)
        )
        return Scores(_cosine(pictures, texts))

    def forward_features(
        self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor
    ) -> Float[Tensor, " b"]:
        """One score a row from prepared inputs; the ids are taken as they are.

        `pixel_values` are (b, 3, s, s), `input_ids` (b, l), `attention_mask` (b, l) is 0 at pads.
        """
        pictures = cast("Tensor", self.encode(pixel_values))
        if self.mode == "itm":
            return self._match(pictures, input_ids, attention_mask.bool())
        return _cosine(pictures, self._project(input_ids, attention_mask.bool()))

    def _tokens(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        ids, real = self.tokenizer(prompts)
        if self.mode == "itm":
            ids[:, 0] = self.tokenizer.encoder_id
        return ids.to(self.device), real.to(self.device)

    def _project(self, ids: Tensor, real: Tensor) -> Float[Tensor, "b d"]:
        return run_head(self.text_proj, self.blip.read(ids, real))

    def _match(self, seen: Tensor, ids: Tensor, real: Tensor) -> Float[Tensor, " b"]:
        logits = run_head(self.itm_head, self.blip.read(ids, real, seen))
        return at_least_float32(logits).softmax(dim=-1)[:, 1]


def build(
    weights: str | Path | None = None,
    config: Mapping[str, object] | None = None,
    mode: str = "itc",
    fit: str = "squash",
    tokenizer: str | Path | None = None,
) -> BLIPScore:
    """BLIPScore with published weights, those of a file, or random ones.

    Args:
        weights: a file of BLIP's own (`model_large.pth`, `model_large_retrieval_coco.pth`) or of
            transformers' `BlipForImageTextRetrieval`; None without `config` fetches the published
            ones. The sizes of its picture encoder are read from it, so that ViT-B fits too.
        config: sizes that differ from these: "vision", "text" and "projection_dim".
        mode: "itc" or "itm", see `BLIPScore`.
        fit: "squash", "crop" or "pad".
        tokenizer: vocab.txt of another BERT, or its text; None fetches that of bert-base-uncased.

    Raises:
        ConfigError: if an option or size is unknown or out of range, or the vocabulary has another
            size.
        WeightsError: if the weights or the vocabulary are missing, damaged or do not fit.
    """
    if weights is None and config is None:
        weights = fetch(PUBLISHED)  # before half a billion random weights are drawn in vain
    sizes, dim = _read_config(config or {}, _RETRIEVAL if weights is None else _told(weights))
    vocabulary = read_vocabulary(tokenizer, sizes["text"]["vocab_size"])
    full = {**sizes, "projection_dim": dim}
    with unfilled(when=weights is not None):
        reward = BLIPScore(full, mode=mode, fit=fit, tokenizer=vocabulary)
    if weights is not None:
        load_published(reward, weights, own_name)
    return reward


def own_name(key: str) -> str | None:
    """This package's name of a published key, of BLIP's own files or of transformers'.

    None for what only training needs: momentum copies, queues and the decoder.
    """
    return None if _UNUSED.match(key) else encoder_name(key)


def recognises(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a file with these keys is a BLIP with both its heads."""
    own = {own_name(key) for key in shapes}
    heads = {"vision_proj.weight", "text_proj.weight", "itm_head.weight"}
    return {"blip.vision.embeddings.class_embedding", *heads} <= own


def _read_config(config: Mapping[str, object], base: Sizes) -> tuple[Sizes, int]:
    given = take_options(config, {*LARGE, "projection_dim"}, "config of blipscore")
    dim = given.pop("projection_dim", _PROJECTION)
    if type(dim) is not int or dim < 1:
        raise ConfigError(f"projection_dim is a whole number above 0, got {dim!r}")
    return blip_sizes(given, base), dim


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"{name} of blipscore is one of {', '.join(known)}; got {value!r}")


def _told(weights: str | Path) -> Sizes:
    state = renamed(read_state(weights), own_name)
    return sizes_told({name: tuple(value.shape) for name, value in state.items()})


def _cosine(first: Float[Tensor, "b d"], second: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
    return functional.cosine_similarity(at_least_float32(first), at_least_float32(second), dim=-1)
