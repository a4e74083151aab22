"""The published MPS evaluation, written out literally: slow, one picture and one text at a time.

It shares nothing with `beholder.rewards.mps` but the weights, which it takes by their names.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from beholder.rewards.mps import MPS


def published_score(
    reward: MPS,
    pixel_values: Tensor,
    input_ids: Tensor,
    condition_ids: Tensor,
    threshold: float = 0.3,
) -> Tensor:
    """Score (1,) of one picture (1, 3, s, s), one text (1, l) and one condition (1, m)."""
    clip: Any = reward.towers.model
    states = clip.text_model(input_ids=input_ids).last_hidden_state
    text = clip.text_projection(states)
    pooled = clip.text_projection(states[:, input_ids[0].argmax()])
    image = clip.visual_projection(clip.vision_model(pixel_values=pixel_values).last_hidden_state)
    condition = clip.text_projection(clip.text_model(input_ids=condition_ids).last_hidden_state)
    relevance = (text @ condition.mT).max(dim=-1).values
    relevance = relevance / relevance.max()
    mask = torch.where(relevance > threshold, 0.0, float("-inf")).to(relevance.dtype)
    cls = cross_model(
        reward.cross_model.state_dict(keep_vars=True), reward.cross, image, text, mask
    )
    cosine = (pooled * cls).sum(-1) / (pooled.norm(dim=-1) * cls.norm(dim=-1))
    scores: Tensor = clip.logit_scale.exp() * cosine
    return scores


def cross_model(
    weights: Mapping[str, Tensor],
    sizes: Mapping[str, Any],
    tokens: Tensor,
    text: Tensor,
    mask: Tensor,
) -> Tensor:
    """Token 0 (b, d) of `tokens` (b, n, d) after all blocks; `mask` (b, l) is added to logits."""
    for layer in range(sizes["layer_num"]):
        for part, block in enumerate((cross_attention, parallel_block)):
            prefix = f"layers.{layer}.{part}.fn."
            own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
            tokens = tokens + block(own, sizes, tokens, text, mask)
    return tokens[:, 0]


def cross_attention(
    w: Mapping[str, Tensor], sizes: Mapping[str, Any], x: Tensor, text: Tensor, mask: Tensor
) -> Tensor:
    dim_head = sizes["dim_head"]
    x = layer_norm(x, w)
    key, value = (text @ w["to_kv.weight"].T).split(dim_head, dim=-1)
    query = split_heads(x @ w["to_q.weight"].T, dim_head) * dim_head**-0.5
    logits = torch.einsum("bhid,bjd->bhij", query, key) + mask[:, None, None]
    logits = logits - logits.amax(dim=-1, keepdim=True)
    looked = torch.einsum("bhij,bjd->bihd", logits.softmax(dim=-1), value).flatten(2)
    return looked @ w["to_out.weight"].T + (swiglu(x @ w["ff.0.weight"].T) @ w["ff.2.weight"].T)


def parallel_block(
    w: Mapping[str, Tensor], sizes: Mapping[str, Any], x: Tensor, _text: Tensor, _mask: Tensor
) -> Tensor:
    dim_head, inner = sizes["dim_head"], sizes["heads"] * sizes["dim_head"]
    x = layer_norm(x, w)
    fused = x @ w["fused_attn_ff_proj.weight"].T
    attention, ff = fused[..., : inner + 2 * dim_head], fused[..., inner + 2 * dim_head :]
    query, key, value = attention.split([inner, dim_head, dim_head], dim=-1)
    key = rotate(key, w["rotary_emb.inv_freq"])
    query = rotate(split_heads(query, dim_head), w["rotary_emb.inv_freq"]) * dim_head**-0.5
    weights = torch.einsum("bhid,bjd->bhij", query, key).softmax(dim=-1)
    looked = torch.einsum("bhij,bjd->bihd", weights, value).flatten(2)
    return looked @ w["attn_out.weight"].T + swiglu(ff) @ w["ff_out.1.weight"].T


def layer_norm(x: Tensor, w: Mapping[str, Tensor]) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    scaled = centred / (x.var(dim=-1, correction=0, keepdim=True) + 1e-5).sqrt()
    return scaled * w["norm.weight"] + w["norm.bias"]


def swiglu(x: Tensor) -> Tensor:
    first, gate = x.chunk(2, dim=-1)
    return gate * torch.sigmoid(gate) * first


def split_heads(x: Tensor, dim_head: int) -> Tensor:
    return torch.stack(x.split(dim_head, dim=-1), dim=1)


def rotate(x: Tensor, inv_freq: Tensor) -> Tensor:
    angle = torch.arange(x.shape[-2])[:, None] * inv_freq[None]
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()), dim=-1)
