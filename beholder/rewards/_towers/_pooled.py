"""Pooled states alone: nothing is computed that they do not depend on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from beholder.rewards._towers._base import Features

_BUCKET = 8


def pooled_alone(pooled: Float[Tensor, "b d"]) -> Features:
    """Features without token states."""
    return Features(pooled.new_zeros(len(pooled), 0, pooled.shape[1]), pooled)


def in_buckets(
    ids: Int[Tensor, "b l"], encode: Callable[[Int[Tensor, "_ _"]], Float[Tensor, "_ d"]]
) -> Float[Tensor, "b d"]:
    """`encode(ids)` of texts pooled at their end, each without most of its padding.

    Exact where no token looks at later ones. Texts of about one length go together.
    """
    ends = ids.argmax(dim=1)  # the first highest id ends the text
    lengths = (ends // _BUCKET + 1) * _BUCKET
    found: list[Tensor] = []
    order: list[Tensor] = []
    for length in lengths.unique().tolist():
        rows = (lengths == length).nonzero().flatten()
        found.append(encode(ids[rows, :length]))
        order.append(rows)
    return torch.cat(found)[torch.cat(order).argsort()]


def clip_image(model: Any, pixel_values: Float[Tensor, "b 3 s t"]) -> Float[Tensor, "b d"]:
    """The class token of a transformers CLIP before projection, alone in the last block."""
    vision = model.vision_model
    states = vision.pre_layrnorm(vision.embeddings(pixel_values))
    *blocks, last = vision.encoder.layers
    for block in blocks:
        states = block(states, None)
    first = _first(last, states) if _is_plain(last) else last(states, None)[:, 0]
    pooled: Tensor = vision.post_layernorm(first)
    return pooled


def _is_plain(block: Any) -> bool:
    """Whether nobody counts on the block being called as a whole, as sharding of weights does."""
    hooks = len(block._forward_pre_hooks) + len(block._forward_hooks)
    return hooks == 0 and "forward" not in vars(block)


def _first(block: Any, states: Float[Tensor, "b n d"]) -> Float[Tensor, "b d"]:
    attention = block.self_attn
    normed = block.layer_norm1(states)
    query, key, value = (
        project(at).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        for project, at in (
            (attention.q_proj, normed[:, :1]),
            (attention.k_proj, normed),
            (attention.v_proj, normed),
        )
    )
    seen = functional.scaled_dot_product_attention(query, key, value)
    first = states[:, 0] + attention.out_proj(seen.transpose(1, 2).flatten(2))[:, 0]
    mixed: Tensor = first + block.mlp(block.layer_norm2(first))
    return mixed


def knows_image(visual: Any) -> bool:
    """Whether `open_clip_image` reads this vision tower: a plain ViT pooled at its class token."""
    return (
        getattr(visual, "pool_type", "") == "tok"
        and getattr(visual, "attn_pool", None) is None
        and getattr(visual.transformer, "batch_first", False)
    )


def open_clip_image(visual: Any, pixel_values: Float[Tensor, "b 3 s t"]) -> Float[Tensor, "b d"]:
    """The class token of an open_clip ViT before projection, alone in the last block."""
    states = visual._embeds(pixel_values)
    *blocks, last = visual.transformer.resblocks
    for block in blocks:
        states = block(states)
    first = _open_clip_first(last, states) if _is_plain(last) else last(states)[:, :1]
    pooled: Tensor = visual.ln_post(first)[:, 0]
    return pooled


def _open_clip_first(block: Any, states: Float[Tensor, "b n d"]) -> Float[Tensor, "b 1 d"]:
    normed = block.ln_1(states)
    first = states[:, :1] + block.ls_1(block.attention(normed[:, :1], normed, normed))
    mixed: Tensor = first + block.ls_2(block.mlp(block.ln_2(first)))
    return mixed


def knows_text(model: Any) -> bool:
    """Whether `open_clip_text` reads this model: causal text pooled at its highest id."""
    return (
        getattr(model, "text_pool_type", "") == "argmax"
        and getattr(model, "attn_mask", None) is not None
        and getattr(model, "text_projection", None) is not None
    )


def open_clip_text(model: Any, ids: Int[Tensor, "b l"]) -> Float[Tensor, "b d"]:
    """The last token of an open_clip model before projection, for texts of any length."""
    length = ids.shape[1]
    dtype = model.transformer.get_cast_dtype()
    states = model.token_embedding(ids).to(dtype) + model.positional_embedding[:length].to(dtype)
    states = model.transformer(states, attn_mask=model.attn_mask[:length, :length])
    last: Tensor = model.ln_final(states)[torch.arange(len(ids)), ids.argmax(dim=1)]
    return last
