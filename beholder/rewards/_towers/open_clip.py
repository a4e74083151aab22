"""Towers over open_clip: any of its names, with published, local or random weights."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from typing_extensions import override

from beholder._published.weights import check_finite
from beholder.errors import ConfigError, WeightsError
from beholder.rewards._base import take_options
from beholder.rewards._preprocess import Preprocess
from beholder.rewards._towers import _states
from beholder.rewards._towers._base import Features, Span, Towers
from beholder.rewards._towers._pooled import (
    in_buckets,
    knows_image,
    knows_text,
    open_clip_image,
    open_clip_text,
    pooled_alone,
)
from beholder.rewards._towers.clip import after_highest, prepare

_FIT = {"shortest": "crop", "squash": "squash", "longest": "pad"}


class OpenClipTowers(Towers):
    """An open_clip model. `model` keeps open_clip's own parameter names.

    Picture tokens are the trunk's last states, which the model's own projection carries into the
    shared space: a class token first if the trunk has one, else the pooled state where it has the
    tokens' width, else their mean. Text tokens are all states after the final norm.

    Args:
        name: one of open_clip's model names, such as "ViT-B-32" or "ViT-B-16-SigLIP".
        pretrained: one of open_clip's tags for it, which is downloaded; a local weights file; None
            for random weights.
        overrides: values put over open_clip's model configuration, nested the same way.
        preprocess: values of `Preprocess` put over those of the tag, or of the name's first tag.
    """

    def __init__(
        self,
        name: str,
        pretrained: str | None = None,
        overrides: Mapping[str, object] | None = None,
        preprocess: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        self._name, self._overrides = name, dict(overrides or {})
        config = _merged(_configuration(name), self._overrides)
        self.model: Any = _create(name, config)
        if pretrained is not None:
            _load(self.model, name, pretrained)
        self.dim = int(config["embed_dim"])
        self.prefix_tokens = _states.prefix_tokens(self.model.visual)
        size = int(config["vision_cfg"].get("image_size", 224))
        self.preprocess = _preprocessing(name, pretrained, size, preprocess or {})

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> OpenClipTowers:
        given = take_options(
            options, {"name", "pretrained", "overrides", "preprocess"}, "open_clip towers"
        )
        if not isinstance(given.get("name"), str):
            raise ConfigError("open_clip towers need a name, such as 'ViT-B-32'")
        return cls(**cast("Any", given))

    @override
    def options(self) -> dict[str, object]:
        return {
            "kind": "open_clip",
            "name": self._name,
            "overrides": self._overrides,
            "preprocess": asdict(self.preprocess),
        }

    @property
    @override
    def logit_scale(self) -> Tensor:
        scale: Tensor = self.model.logit_scale
        return scale.reshape(())

    @override
    def tokenize(self, texts: Sequence[str]) -> Int[Tensor, "b l"]:
        return cast("Tensor", self._tokenizer(list(texts))).to(self.device)

    @override
    def padding(self, ids: Int[Tensor, "b l"]) -> Bool[Tensor, "b l"]:
        vocabulary = getattr(self._tokenizer, "tokenizer", None)
        return after_highest(ids) if vocabulary is None else ids == vocabulary.pad_token_id

    @override
    def token_spans(self, text: str) -> list[Span | None]:
        """Every token of a word has the word's span: these tokenizers do not tell more."""
        ids = self.tokenize([text])
        spans: list[Span | None] = [None] * ids.shape[1]
        real = int((~self.padding(ids)).sum())
        at = 1 if self._leading_special else 0
        for word in re.finditer(r"\S+", text):
            for _ in range(self._token_count(word.group())):
                if at < real - 1:  # the last one ends the text
                    spans[at] = word.span()
                at += 1
        return spans

    @override
    def image_backbone(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Features:
        return _states.image_states(self.model.visual, pixel_values.to(self.dtype))

    @override
    def text_backbone(self, ids: Int[Tensor, "b l"]) -> Features:
        features = _states.text_states(self.model, ids)
        padding = _states.masked_padding(self.model, ids)
        return features if padding is None else features.without(padding)

    @override
    def pooled_image_backbone(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Features:
        visual = self.model.visual
        if not knows_image(visual):
            return super().pooled_image_backbone(pixel_values)
        return pooled_alone(open_clip_image(visual, pixel_values.to(self.dtype)))

    @override
    def pooled_text_backbone(self, texts: Sequence[str]) -> Features:
        if not knows_text(self.model):
            return super().pooled_text_backbone(texts)
        return pooled_alone(in_buckets(self.tokenize(texts), partial(open_clip_text, self.model)))

    @override
    def project_image(self, features: Features) -> Features:
        return _states.project_image(self.model.visual, features)

    @override
    def project_text(self, features: Features) -> Features:
        project = _states.text_projection(self.model)
        return Features(project(features.tokens), project(features.pooled))

    @cached_property
    def _tokenizer(self) -> Any:
        import open_clip  # noqa: PLC0415

        length = _states.context_length(self.model)
        try:
            tokenizer: Any = open_clip.get_tokenizer(self._name, context_length=length)
        except OSError as error:
            raise WeightsError(
                f"the tokenizer of {self._name} is not in the hub's cache and cannot be "
                f"downloaded: {error}"
            ) from error
        if hasattr(tokenizer, "tokenizer"):
            tokenizer.tokenizer.split_special_tokens = True
        else:
            tokenizer.cache.clear()  # held the specials, which a prompt could then type
        return tokenizer

    @cached_property
    def _leading_special(self) -> bool:
        first, other = self.tokenize(["a", "b"])[:, 0].tolist()
        return bool(first == other)

    def _token_count(self, word: str) -> int:
        ids = self.tokenize([word])
        return int((~self.padding(ids)).sum()) - 1 - self._leading_special


def _configuration(name: str) -> dict[str, Any]:
    import open_clip  # noqa: PLC0415

    config: dict[str, Any] | None = None
    if ":" not in name:  # "hf-hub:…" takes a configuration, and what it names, from anywhere
        config = open_clip.get_model_config(name)
    if config is None:
        close = difflib.get_close_matches(name, open_clip.list_models(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else "see open_clip.list_models()"
        raise ConfigError(f"open_clip has no model {name!r}; {hint}")
    return config


def _create(name: str, config: Mapping[str, Any]) -> Any:
    """The model that open_clip makes of a configuration, with random weights."""
    from open_clip import CLIP, CoCa, CustomTextCLIP  # noqa: PLC0415

    rest = dict(config)
    of_hub = "hf_model_name" in rest["text_cfg"]
    if of_hub:
        rest["text_cfg"] = {**rest["text_cfg"], "hf_model_pretrained": False}
    custom = rest.pop("custom_text", False) or of_hub
    kind = CoCa if "multimodal_cfg" in rest else CustomTextCLIP if custom else CLIP
    try:
        return kind(**rest)
    except TypeError as error:
        raise ConfigError(f"open_clip cannot build {name!r} so changed: {error}") from error
    except OSError as error:
        raise WeightsError(
            f"open_clip needs the hub for the text encoder of {name!r}: {error}"
        ) from error


def _load(model: nn.Module, name: str, pretrained: str) -> None:
    import open_clip  # noqa: PLC0415

    path: str | None = pretrained
    if not Path(pretrained).is_file():
        found = open_clip.get_pretrained_cfg(name, pretrained)
        if not found:
            tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
            raise ConfigError(
                f"{pretrained!r} is neither a file nor a tag of open_clip's {name!r}; tags: {tags}"
            )
        path = _download(found, name, pretrained)
    try:
        open_clip.load_checkpoint(model, path, weights_only=True)
    except (RuntimeError, KeyError, ValueError, UnpicklingError, EOFError) as error:
        raise WeightsError(f"{path} does not fit open_clip's {name}: {error}") from error
    check_finite(model.state_dict(), str(path))


def _download(found: Mapping[str, object], name: str, tag: str) -> str:
    import open_clip  # noqa: PLC0415

    try:
        path: str | None = open_clip.download_pretrained(found)
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"the weights {tag!r} of {name} cannot be fetched: {error}; see the connection, or "
            "give towers.pretrained=FILE, a local copy"
        ) from error
    if not path:
        raise WeightsError(f"the weights {tag!r} of {name} cannot be fetched: no address is known")
    return path


def _preprocessing(
    name: str, pretrained: str | None, size: int, given: Mapping[str, object]
) -> Preprocess:
    import open_clip  # noqa: PLC0415

    tags = open_clip.list_pretrained_tags_by_model(name)
    tag = pretrained if pretrained in tags else next(iter(tags), "")
    known = open_clip.get_pretrained_cfg(name, tag) or {}
    fallback = open_clip.get_pretrained_cfg("ViT-B-32", "openai")
    values = {**fallback, **known}
    own = {"fit": _FIT[values["resize_mode"]], "interpolation": values["interpolation"]}
    return prepare(size, values["mean"], values["std"], {**own, **given})


def _merged(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(config)
    for key, value in overrides.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if nested else value
    return merged
