"""Sizes of RichHF: the paper's, the author's, a small and a tiny one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from beholder.errors import ConfigError

_T5_BASE = {
    "vocab_size": 32128,
    "d_model": 768,
    "d_kv": 64,
    "d_ff": 3072,
    "num_layers": 12,
    "num_heads": 12,
}
_VIT_BASE = {
    "kind": "vit",
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "image_size": 224,
    "patch_size": 16,
}
_VIT_LARGE = {
    "kind": "vit",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "image_size": 384,
    "patch_size": 16,
}

SIZES: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "vit_b_t5_base": {"vision": _VIT_BASE, "t5": _T5_BASE},
        "vit_l_t5_base": {"vision": _VIT_LARGE, "t5": _T5_BASE, "caption": "words"},
        "small": {
            "vision": {
                "kind": "vit",
                "hidden_size": 256,
                "num_hidden_layers": 8,
                "num_attention_heads": 4,
                "intermediate_size": 1024,
                "image_size": 224,
                "patch_size": 16,
            },
            "t5": {
                "vocab_size": 32128,
                "d_model": 256,
                "d_kv": 64,
                "d_ff": 1024,
                "num_layers": 6,
                "num_decoder_layers": 2,
                "num_heads": 4,
            },
            "heads": {"heatmap_width": 192, "heatmap_stages": 3, "score_width": 128},
        },
        "tiny": {
            "vision": {
                "kind": "vit",
                "hidden_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "intermediate_size": 64,
                "image_size": 64,
                "patch_size": 16,
            },
            "t5": {
                "d_model": 32,
                "d_kv": 16,
                "d_ff": 64,
                "num_layers": 2,
                "num_decoder_layers": 1,
                "num_heads": 2,
            },
            "heads": {"heatmap_width": 16, "heatmap_stages": 2, "score_width": 32},
        },
    }
)
"""Name -> options of `RichHF`: the paper's ViT-B/16 and T5-base; the author's ViT-L/16 at 384
pixels and T5-base, which is fed the words alone; 30 million parameters; a few thousand."""


def sized(size: str | None, options: Mapping[str, object]) -> dict[str, object]:
    """Options of a size with the given ones over them; of a tower or the heads value by value.

    A tower that names its "kind" or "folder" stands alone. Raises ConfigError for an unknown size.
    """
    if size is None:
        return dict(options)
    if size not in SIZES:
        raise ConfigError(f"no size {size!r} of richhf; known: {', '.join(SIZES)}")
    known = SIZES[size]
    return {**known, **{name: _over(known.get(name), value) for name, value in options.items()}}


def _over(known: object, given: object) -> object:
    if not (isinstance(known, Mapping) and isinstance(given, Mapping)):
        return given
    return given if {"kind", "folder"} & given.keys() else {**known, **given}


def tiny_tokenizer() -> str:
    """The text of a T5 tokenizer that spells every word letter by letter, for the tiny size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors  # noqa: PLC0415

    letters = "abcdefghijklmnopqrstuvwxyz0123456789_-<>/'"
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0), ("\u2581", -1.0)]
    pieces += [(letter, -2.0) for letter in letters]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    return str(tokenizer.to_str())
