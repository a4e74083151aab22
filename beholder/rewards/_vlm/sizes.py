"""Sizes of the published Qwen2-VL models (Wang et al., 2024), and those of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from beholder.errors import ConfigError
from beholder.rewards._base import take_options
from beholder.rewards._towers._configs import checked_names

EMBEDDINGS = "vlm.model.language_model.embed_tokens.weight"
"""Name of the weights that have a row for each token."""

Sizes = Mapping[str, Mapping[str, object]]
"""Values of transformers' `Qwen2VLTextConfig` ("text") and `Qwen2VLVisionConfig` ("vision")."""

_UNUSED = {
    "bos_token_id": None,
    "eos_token_id": None,
}  # of generation; else a small vocabulary warns
_ROTARY = {"rope_type": "default", "rope_theta": 1_000_000.0, "mrope_section": [16, 24, 24]}

QWEN2_VL_7B: Sizes = {
    "text": {
        "vocab_size": 152_064,
        "hidden_size": 3584,
        "intermediate_size": 18_944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "rms_norm_eps": 1e-6,
        "rope_parameters": _ROTARY,
    },
    "vision": {"hidden_size": 3584},
}
"""Qwen/Qwen2-VL-7B-Instruct; its picture encoder has transformers' default sizes."""

QWEN2_VL_2B: Sizes = {
    "text": {
        "vocab_size": 151_936,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6,
        "rope_parameters": _ROTARY,
    },
    "vision": {"hidden_size": 1536},
}
"""Qwen/Qwen2-VL-2B-Instruct."""


@dataclass(frozen=True)
class Shape:
    """The numbers of a model that the code here reads.

    Attributes:
        width: of a token state, in text and in pictures.
        patch: side of a picture patch, in pixels.
        frames: times that a picture is repeated, as if it were a video.
        merge: patches a side that become one token.
        head: width of an attention head of the picture encoder.
    """

    width: int
    patch: int
    frames: int
    merge: int
    head: int


def sized(base: Sizes, given: Mapping[str, object], reward: str) -> dict[str, dict[str, object]]:
    """The sizes of `base` with those of `given` put over them; ConfigError for an unknown part."""
    parts = cast("Sizes", take_options(given, {"text", "vision"}, f"config of {reward}"))
    return {part: {**base[part], **parts.get(part, {})} for part in ("text", "vision")}


def with_vocabulary(sizes: Sizes, state: Mapping[str, Tensor]) -> dict[str, dict[str, object]]:
    """The sizes with as many tokens as the weights have; files differ in how far they pad them."""
    found = {"vocab_size": len(state[EMBEDDINGS])} if EMBEDDINGS in state else {}
    return {"text": {**sizes["text"], **found}, "vision": dict(sizes["vision"])}


def dtype_named(name: str) -> torch.dtype:
    """The floating-point type of that name, such as "bfloat16"; ConfigError if there is none."""
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ConfigError(f"dtype is a floating-point type such as 'bfloat16', got {name!r}")
    return found


def model_config(sizes: Sizes) -> Any:
    """A `Qwen2VLConfig` of transformers.

    Raises ConfigError if they contradict each other or transformers refuses them.
    """
    from huggingface_hub.errors import StrictDataclassError  # noqa: PLC0415
    from transformers import Qwen2VLConfig  # noqa: PLC0415

    _check_names(sizes)
    try:
        config = Qwen2VLConfig(
            text_config={**_UNUSED, **sizes["text"]},
            vision_config=dict(sizes["vision"]),
            attn_implementation="sdpa",
        )
    except (TypeError, ValueError, KeyError, StrictDataclassError) as error:
        raise ConfigError(f"these are no sizes of a Qwen2-VL: {error}") from error
    _check(config)
    return config


def shape_of(config: Any) -> Shape:
    """The numbers of a `Qwen2VLConfig` that the code here reads."""
    vision = config.vision_config
    return Shape(
        int(config.text_config.hidden_size),
        int(vision.patch_size),
        int(vision.temporal_patch_size),
        int(vision.spatial_merge_size),
        int(vision.embed_dim) // int(vision.num_heads),
    )


def _check_names(sizes: Sizes) -> None:
    from transformers.models.qwen2_vl import configuration_qwen2_vl as library  # noqa: PLC0415

    kinds = {"text": library.Qwen2VLTextConfig, "vision": library.Qwen2VLVisionConfig}
    for part, kind in kinds.items():
        checked_names(kind, sizes[part], f"the {part} model")


def _check(config: Any) -> None:
    text, vision = config.text_config, config.vision_config
    if text.hidden_size != vision.hidden_size:
        raise ConfigError(
            f"text states are {text.hidden_size} wide, picture tokens {vision.hidden_size}; "
            "hidden_size of text and vision must be the same"
        )
    sections = text.rope_parameters.get("mrope_section", [16, 24, 24])
    half = text.hidden_size // text.num_attention_heads // 2
    if sum(sections) != half:
        raise ConfigError(
            f"mrope_section {sections} must sum to half the width of an attention head, {half}"
        )
