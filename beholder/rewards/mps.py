"""MPS: a score for each of several conditions, from the words that each condition looks at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from math import isqrt
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder._published.weights import Published, fetch
from beholder.errors import ConfigError, DataError, ImageError
from beholder.images import ImageSource, read_images
from beholder.rewards._base import (
    RewardCard,
    evaluating,
    prompt_fault,
    take_options,
)
from beholder.rewards._card import Accuracy, Parity
from beholder.rewards._cross import CrossModel
from beholder.rewards._encoded import EncodedReward
from beholder.rewards._mask import (
    Padding,
    Scope,
    check_rule,
    hard_bias,
    present,
    relevance,
    relevance_share,
    soft_bias,
    word_relevance,
)
from beholder.rewards._names import unwrapped
from beholder.rewards._precision import at_least_float32
from beholder.rewards._preprocess import Fitting
from beholder.rewards._text_cache import TextCache
from beholder.rewards._towers import Features, Towers, build_towers
from beholder.rewards._towers.clip import CLIP_H as CLIP_H
from beholder.rewards._weights import load_published, unfilled
from beholder.types import ASPECTS, Explanation, Scores

PUBLISHED = Published("RE-N-Y/mpsv1", "model.safetensors", "main", None)
_COMPUTED = ("*rotary_emb.inv_freq", "*norm.bias", "soft_power")


class MPS(EncodedReward):
    """Multi-dimensional preference score (Zhang et al., CVPR 2024), on any towers.

    Picture tokens look, in a cross model, at those words of the prompt that a condition ("light,
    color, clarity, …") finds relevant; the score is exp(logit_scale) * cos(text, token 0).

    Args:
        towers: the encoders.
        cross: sizes of the cross model: layer_num, heads, dim_head, ff_mult; dim is the towers'.
        conditions: aspect -> condition text; "overall", which becomes the total, must be there.
            None takes the four of `default_conditions`.
        threshold: a word passes if its relevance exceeds this share of the maximum, in [0, 1).
        scope: the maximum over each prompt ("sample") or all prompts of a batch ("batch").
        mask: "hard" hides the words below the threshold; "soft" adds
            exp(soft_power) * log(relevance share) to their attention logits, `soft_power` learned.
        padding: whether padding tokens of the prompt take part, as published, or are dropped.
        condition_padding: the same for the conditions.

    Where no word is relevant (the maximum is not positive) all pass. With scope "batch" a prompt
    whose words all stay under its neighbours' threshold has no score: NaN, as published.
    """

    card = RewardCard(
        name="mps",
        paper="Zhang et al., Learning Multi-dimensional Human Preference for Text-to-Image "
        "Generation, CVPR 2024",
        measures="what people prefer: aesthetics, detail, alignment and overall",
        weights_license="MIT",
        weights=f"{PUBLISHED.repo} (unofficial copy of the overall checkpoint, unpinned)",
        aspects=ASPECTS,
        accuracy=(
            Accuracy("MHP overall", 74.2, "threshold 0.3, a picture at a time", "MPS README"),
            Accuracy("HPDv2 test", 83.5, "mean over prompts, ties are credit", "MPS README"),
            Accuracy("ImageReward test", 67.5, "ties dropped", "MPS README"),
        ),
        parity=(
            Parity("the published evaluation's calls", 2e-4, 0.16, "random B/32, 16 JPEG files"),
        ),
        float_error=0.005,
        bf16_error=0.3,
        fp16_error=0.1,
        notes=(
            "threshold 0.3 of each prompt's own maximum: the rule of the published evaluation; "
            "the published forward() uses threshold=0.01, scope='batch'",
            "only the overall condition and checkpoint were published; the words of aesthetics, "
            "detail and alignment are derived from it",
            "pixels are rounded through float16 as published",
            "special tokens typed into a prompt are read as plain text",
        ),
    )

    def __init__(
        self,
        towers: Towers,
        *,
        cross: Mapping[str, object] | None = None,
        conditions: Mapping[str, str] | None = None,
        threshold: float = 0.3,
        scope: str = "sample",
        mask: str = "hard",
        padding: str = "keep",
        condition_padding: str = "keep",
    ) -> None:
        super().__init__()
        check_rule(threshold, scope=scope, mask=mask, paddings=(padding, condition_padding))
        self.towers = towers
        self.cross = _cross_sizes(cross or {}, towers.dim)
        self.cross_model = CrossModel(**cast("Any", self.cross))
        self.conditions = _check_conditions(conditions or default_conditions())
        self.threshold = threshold
        self.scope = cast("Scope", scope)
        self.mask = mask
        self.padding = cast("Padding", padding)
        self.condition_padding = cast("Padding", condition_padding)
        self._prompts, self._asked = TextCache(), TextCache()
        self.soft_power = nn.Parameter(torch.zeros(())) if mask == "soft" else None
        vars(self)["card"] = replace(type(self).card, aspects=tuple(self.conditions))

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> MPS:
        known = {"towers", "cross", "conditions", "threshold", "scope", "mask"}
        given = take_options(options, known | {"padding", "condition_padding"}, "mps")
        towers = build_towers(cast("Mapping[str, object]", given.pop("towers", {})))
        return cls(towers, **cast("Any", given))

    @override
    def options(self) -> dict[str, object]:
        return {
            "towers": self.towers.options(),
            "cross": self.cross,
            "conditions": self.conditions,
            "threshold": self.threshold,
            "scope": self.scope,
            "mask": self.mask,
            "padding": self.padding,
            "condition_padding": self.condition_padding,
        }

    @property
    @override
    def fitting(self) -> Fitting:
        return self.towers.preprocess

    @override
    def encode(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Tensor | Features:
        return self.image_backbone(pixel_values)

    @override
    def score_encoded(self, encoded: Tensor | Features, prompts: Sequence[str]) -> Scores:
        return self.score_features(cast("Features", encoded), self.text_backbone(prompts))

    def image_backbone(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Features:
        """Picture states before projection; a trainer of frozen towers caches them."""
        return self.towers.image_backbone(pixel_values)

    def text_backbone(self, texts: Sequence[str]) -> Features:
        """Prompt states before projection; each distinct prompt is encoded once."""
        return self._states(self._prompts, texts, self.padding)

    def feature_options(self) -> dict[str, object]:
        """What picture states depend on beside the towers' weights."""
        return {"towers": self.towers.options(), "states": "all"}

    def condition_features(self) -> Features:
        """States of the condition texts before projection, in the order of `conditions`."""
        texts = list(self.conditions.values())
        return self._states(self._asked, texts, self.condition_padding)

    def score_features(
        self, images: Features, texts: Features, conditions: Features | None = None
    ) -> Scores:
        """Scores from backbone states, one text a picture, all conditions in one batch.

        `conditions` are what `condition_features` gives; None computes them.
        """
        if conditions is None:
            conditions = self.condition_features()
        view = self._look(images, texts, conditions)
        aspects = dict(zip(self.conditions, self._score(view), strict=True))
        return Scores(aspects["overall"], aspects)

    def forward_features(
        self, pixel_values: Tensor, input_ids: Tensor, condition_ids: Tensor
    ) -> Float[Tensor, " b"]:
        """One score a row from prepared inputs.

        `pixel_values` are (b, 3, s, s), `input_ids` (b, l), `condition_ids` (m,) or (1, m) for all
        rows or (b, m) for each its own.
        Raises DataError if the numbers of rows differ.
        """
        rows = len(pixel_values)
        condition_ids = torch.atleast_2d(condition_ids)
        if len(input_ids) != rows or len(condition_ids) not in {1, rows}:
            raise DataError(
                f"{rows} pictures, {len(input_ids)} texts and {len(condition_ids)} conditions; "
                "give one text a picture and one condition for all or one each"
            )
        images = self.image_backbone(pixel_values)
        texts = self._encode(input_ids, self.padding)
        conditions = self._encode(condition_ids, self.condition_padding)
        return self._score(self._look(images, texts, conditions, paired=len(conditions) > 1))[0]

    @torch.no_grad()
    def explain(self, image: ImageSource, prompt: str) -> list[Explanation]:
        """For each condition its score, the words it lets through and where the score looks.

        A word is kept if one of its tokens is, and as relevant as its most relevant token. The map
        is the attention of token 0 in the last block of the cross model, mean of the heads, over
        the grid of picture tokens. Raises ImageError or DataError if the input cannot be scored.
        """
        if why := prompt_fault(prompt):
            raise DataError(f"prompt: {why}")
        (picture,) = read_images([image])
        if isinstance(picture, ImageError):
            raise picture
        with evaluating(self):
            images = self.image_backbone(self.preprocess(picture[None].to(self.device)))
            view = self._look(images, self.text_backbone([prompt]), self.condition_features())
            scores = self._score(view)[:, 0].tolist()
            maps = self._grid(self.cross_model.attention(view.tokens, view.context, view.bias))
        spans = self.towers.token_spans(prompt)
        threshold = self.threshold if self.soft_power is None else None
        return [
            Explanation(name, score, word_relevance(prompt, spans, share, threshold), attention)
            for name, score, share, attention in zip(
                self.conditions, scores, view.share[:, 0].tolist(), maps, strict=True
            )
        ]

    def _states(self, kept: TextCache, texts: Sequence[str], padding: Padding) -> Features:
        def encode(missing: list[str]) -> tuple[Tensor, ...]:
            features = self._encode(self.towers.tokenize(missing), padding)
            return features.tokens, features.pooled

        return Features(*kept.states(texts, self.towers, encode))

    def _encode(self, ids: Int[Tensor, "b l"], padding: Padding) -> Features:
        features = self.towers.text_backbone(ids)
        return features if padding == "keep" else features.without(self.towers.padding(ids))

    def _look(
        self, images: Features, texts: Features, conditions: Features, *, paired: bool = False
    ) -> _View:
        context = self.towers.project_text(texts)
        asked = self.towers.project_text(conditions).tokens
        asked = at_least_float32(asked)
        values = relevance(
            at_least_float32(context.tokens),
            asked[None] if paired else asked[:, None],
            present(texts.tokens),
            present(conditions.tokens)[None] if paired else present(conditions.tokens)[:, None],
        )
        share = relevance_share(values, self.scope)
        tokens = self.towers.project_image(images).tokens
        bias = self._bias(share).flatten(0, 1).to(tokens.dtype)
        return _View(tokens, context.tokens, context.pooled, share, bias)

    def _bias(self, share: Float[Tensor, "k b l"]) -> Float[Tensor, "k b l"]:
        if self.soft_power is None:
            return hard_bias(share, self.threshold)
        return soft_bias(share, self.soft_power.exp())

    def _score(self, view: _View) -> Float[Tensor, "k b"]:
        states = self.cross_model(view.tokens, view.context, view.bias)
        seen = states.unflatten(0, view.share.shape[:2])
        cosine = functional.cosine_similarity(
            at_least_float32(view.pooled)[None], at_least_float32(seen), dim=-1
        )
        scores = at_least_float32(self.towers.logit_scale).exp() * cosine
        if self.scope == "batch":
            wordless = (view.bias == -torch.inf).all(dim=-1).unflatten(0, view.share.shape[:2])
            scores = scores.masked_fill(wordless, torch.nan)
        return scores

    def _grid(self, weights: Float[Tensor, "k n"]) -> Float[Tensor, "k h w"]:
        """Weights of the picture tokens as a square; a row if they do not fill one."""
        places = weights[:, self.towers.prefix_tokens :].float().cpu()
        places = places / places.sum(dim=1, keepdim=True)
        rows, cells = places.shape
        side = isqrt(cells)
        return places.reshape(rows, side if side * side == cells else 1, -1)


@dataclass(frozen=True)
class _View:
    """What the cross model gets: `k` conditions on `b` rows."""

    tokens: Float[Tensor, "b n d"]
    context: Float[Tensor, "b l d"]
    pooled: Float[Tensor, "b d"]
    share: Float[Tensor, "k b l"]
    bias: Float[Tensor, "kb l"]


def default_conditions() -> dict[str, str]:
    """Aspect -> condition text of `configs/mps_conditions.yaml`: "overall" as published.

    The other three are derived from its words, as the file says.
    """
    import yaml  # noqa: PLC0415

    data = files("beholder").joinpath("configs/mps_conditions.yaml")
    texts = yaml.safe_load(data.read_text(encoding="utf-8"))
    return {aspect: {**texts["published"], **texts["derived"]}[aspect] for aspect in ASPECTS}


def build(
    weights: str | Path | None = None,
    config: Mapping[str, object] | None = None,
    towers: Mapping[str, object] | Towers | None = None,
    **options: object,
) -> MPS:
    """MPS with the published weights, those of a file, or random ones.

    Args:
        weights: the published pickled checkpoint, which is read without being executed, or a state
            dict of it; None with neither `config` nor `towers` fetches the published weights.
        config: sizes that differ from the published ones: "clip" with text, vision and
            projection_dim, and "cross" with dim, layer_num, heads, dim_head and ff_mult.
        towers: other encoders, built or as options of `build_towers`, instead of "clip".
        options: of `MPS`: conditions, threshold, scope, mask, padding, condition_padding.

    Raises:
        ConfigError: if a size or an option is unknown or out of range.
        WeightsError: if the weights are missing, damaged or do not fit.
    """
    known = {"conditions", "threshold", "scope", "mask", "padding", "condition_padding"}
    given = take_options(options, known, "mps")
    sizes = take_options(config or {}, {"clip", "cross"}, "config of mps")
    if towers is None:
        clip = {**CLIP_H, **cast("Mapping[str, object]", sizes.get("clip", {}))}
        towers = {"kind": "clip", **clip, "preprocess": {"half": True}}
        published = config is None
    elif "clip" in sizes:
        raise ConfigError("give either towers or the sizes config['clip'], not both")
    else:
        published = False
    if weights is None and published:
        weights = fetch(PUBLISHED)  # before a billion random weights are drawn in vain
    with unfilled(when=weights is not None):
        built = towers if isinstance(towers, Towers) else build_towers(towers)
        reward = MPS(built, cross=cast("Any", sizes.get("cross")), **cast("Any", given))
    if weights is not None:
        load_published(reward, weights, own_name, computed=_COMPUTED)
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
    """Whether a file with these keys is a checkpoint of MPS: its cross model tells."""
    names = {own_name(key) for key in shapes}
    return "cross_model.layers.0.0.fn.to_kv.weight" in names


def _cross_sizes(given: Mapping[str, object], dim: int) -> dict[str, object]:
    known = {"dim", "layer_num", "heads", "dim_head", "ff_mult"}
    sizes = {"dim": dim, "layer_num": 4, "heads": 16, "dim_head": 64, "ff_mult": 4}
    sizes |= cast("dict[str, int]", take_options(given, known, "the cross model"))
    if sizes["dim"] != dim:
        raise ConfigError(f"the cross model's dim is {sizes['dim']}, the towers give {dim}")
    if sizes["dim_head"] % 2 or min(sizes.values()) < 1:
        raise ConfigError(f"sizes of the cross model are 1 or more and dim_head is even: {sizes}")
    return cast("dict[str, object]", sizes)


def _check_conditions(given: Mapping[str, str]) -> dict[str, str]:
    if "overall" not in given:
        raise ConfigError(f"conditions need 'overall', which is the total; got {sorted(given)}")
    for aspect, text in given.items():
        if why := prompt_fault(text):
            raise ConfigError(f"condition {aspect!r}: {why}")
    return dict(given)
