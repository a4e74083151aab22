"""The cross model of MPS: picture tokens look at the words that a mask lets through."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override


class CrossModel(nn.Module):
    """Blocks of cross-attention to the text and self-attention among picture tokens (MPS, 2024).

    Names and numbers equal the published ones. Three savings are exact: rows that differ in the
    mask alone share their work until the mask is applied, keys and values of a text are computed
    once for all masks, and the last block is computed for token 0 alone, the only one that is read.

    Args:
        dim: width of a token.
        layer_num: number of blocks.
        heads: attention heads; they share one key and one value.
        dim_head: width of a head; even, as half of it is rotated.
        ff_mult: inner width of the feed-forward parts, as a multiple of `dim`.
    """

    def __init__(
        self,
        dim: int = 1024,
        layer_num: int = 4,
        heads: int = 16,
        dim_head: int = 64,
        ff_mult: int = 4,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                (
                    Residual(CrossAttention(dim, heads, dim_head, ff_mult)),
                    Residual(SelfAttention(dim, heads, dim_head, ff_mult)),
                )
            )
            for _ in range(layer_num)
        )

    @override
    def forward(
        self,
        tokens: Float[Tensor, "b n d"],
        context: Float[Tensor, "b l d"],
        bias: Float[Tensor, "kb l"],
    ) -> Float[Tensor, "kb d"]:
        """Token 0 after all blocks, for `k` masks on the same `b` rows, mask after mask.

        `bias` is added to the attention logits of the words; -inf hides one.
        """
        states, last = self._before_last(tokens, context, bias)
        return states[:, 0] + last.first(states)

    def attention(
        self,
        tokens: Float[Tensor, "b n d"],
        context: Float[Tensor, "b l d"],
        bias: Float[Tensor, "kb l"],
    ) -> Float[Tensor, "kb n"]:
        """Where token 0 looks in the last block: weights over all tokens, mean of the heads."""
        states, last = self._before_last(tokens, context, bias)
        return last.weights(states)

    def _before_last(
        self, tokens: Tensor, context: Tensor, bias: Tensor
    ) -> tuple[Tensor, SelfAttention]:
        *whole, (cross, last) = (cast("nn.ModuleList", layer) for layer in self.layers)
        for look, think in whole:
            tokens = look(tokens, context, bias)
            tokens = think(tokens)
        return cross(tokens, context, bias), cast("SelfAttention", last.fn)


class Residual(nn.Module):
    """Adds what `fn` gives to its input; an input with fewer rows is repeated."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    @override
    def forward(self, tokens: Float[Tensor, "b n d"], *rest: Tensor) -> Float[Tensor, "kb n d"]:
        added = self.fn(tokens, *rest)
        return cast("Tensor", added + _copies(tokens, len(added)))


class Norm(nn.Module):
    """Layer norm with a learned weight and a bias that is stored, but not learned."""

    bias: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.register_buffer("bias", torch.zeros(dim))

    @override
    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return functional.layer_norm(tokens, self.weight.shape, self.weight, self.bias)


class SwiGLU(nn.Module):
    """silu(second half) * first half, of the last dimension."""

    @override
    def forward(self, values: Float[Tensor, "*b f"]) -> Float[Tensor, "*b g"]:
        first, gate = values.chunk(2, dim=-1)
        return functional.silu(gate) * first


class CrossAttention(nn.Module):
    """Every picture token looks at the words; a feed-forward part runs beside it."""

    def __init__(self, dim: int, heads: int, dim_head: int, ff_mult: int) -> None:
        super().__init__()
        inner = ff_mult * dim
        self.heads = heads
        self.norm = Norm(dim)
        self.to_q = nn.Linear(dim, heads * dim_head, bias=False)
        self.to_kv = nn.Linear(dim, 2 * dim_head, bias=False)
        self.to_out = nn.Linear(heads * dim_head, dim, bias=False)
        self.ff = nn.Sequential(
            nn.Linear(dim, 2 * inner, bias=False), SwiGLU(), nn.Linear(inner, dim, bias=False)
        )

    @override
    def forward(
        self,
        tokens: Float[Tensor, "a n d"],
        context: Float[Tensor, "b l d"],
        bias: Float[Tensor, "kb l"],
    ) -> Float[Tensor, "kb n d"]:
        rows = len(bias)
        normed = self.norm(tokens)
        key, value = self.to_kv(context).chunk(2, dim=-1)
        looked = multi_query_attention(
            _copies(self.to_q(normed), rows),
            _copies(key, rows),
            _copies(value, rows),
            self.heads,
            bias,
        )
        return cast("Tensor", self.to_out(looked) + _copies(self.ff(normed), rows))


class Rotary(nn.Module):
    """Rotates queries and keys by their position (Su et al., 2021, eq. 34)."""

    inv_freq: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("inv_freq", 10000 ** -(torch.arange(0, dim, 2).float() / dim))

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Rotary:
        kept = self.inv_freq
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        # In bfloat16 the fastest rotation is off by a radian at token 256: keep float32.
        self.inv_freq = kept.to(self.inv_freq.device)
        return self

    @override
    def forward(self, values: Float[Tensor, "*b n e"]) -> Float[Tensor, "*b n e"]:
        places = torch.arange(values.shape[-2], device=values.device, dtype=self.inv_freq.dtype)
        angles = torch.outer(places, self.inv_freq).repeat(1, 2)
        first, second = values.chunk(2, dim=-1)
        turned = torch.cat((-second, first), dim=-1)
        return values * angles.cos().to(values) + turned * angles.sin().to(values)


class SelfAttention(nn.Module):
    """Picture tokens look at each other; one matrix feeds attention and feed-forward part."""

    def __init__(self, dim: int, heads: int, dim_head: int, ff_mult: int) -> None:
        super().__init__()
        inner = ff_mult * dim
        self.heads = heads
        self.sizes = [heads * dim_head, dim_head, dim_head, 2 * inner]
        self.norm = Norm(dim)
        self.rotary_emb = Rotary(dim_head)
        self.fused_attn_ff_proj = nn.Linear(dim, sum(self.sizes), bias=False)
        self.attn_out = nn.Linear(heads * dim_head, dim, bias=False)
        self.ff_out = nn.Sequential(SwiGLU(), nn.Linear(inner, dim, bias=False))

    @override
    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        query, key, value, inner = self.fused_attn_ff_proj(self.norm(tokens)).split(
            self.sizes, dim=-1
        )
        looked = multi_query_attention(
            self._rotated(query), self.rotary_emb(key), value, self.heads
        )
        return cast("Tensor", self.attn_out(looked) + self.ff_out(inner))

    def first(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b d"]:
        """What `forward` gives for token 0."""
        query, key, value, inner = self._first_parts(tokens)
        looked = multi_query_attention(query, self.rotary_emb(key), value, self.heads)
        return cast("Tensor", self.attn_out(looked) + self.ff_out(inner))[:, 0]

    def weights(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n"]:
        """Attention weights of token 0 over all tokens, mean of the heads."""
        query, key, *_ = self._first_parts(tokens)
        heads = query.unflatten(-1, (self.heads, -1))[:, 0]
        logits: Tensor = heads @ self.rotary_emb(key).mT / key.shape[-1] ** 0.5
        return logits.softmax(dim=-1).mean(dim=1)

    def _first_parts(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Query and feed-forward part of token 0, key and value of all tokens.

        An adapter around the fused matrix (LoRA) cannot be sliced: then all of it is computed.
        """
        normed, fused = self.norm(tokens), self.fused_attn_ff_proj
        if type(fused) is not nn.Linear:
            query, key, value, inner = fused(normed).split(self.sizes, dim=-1)
            return query[:, :1], key, value, inner[:, :1]
        query_of, key_of, value_of, inner_of = fused.weight.split(self.sizes)
        first = normed[:, :1]
        key, value = normed @ key_of.mT, normed @ value_of.mT
        return first @ query_of.mT, key, value, first @ inner_of.mT

    def _rotated(self, query: Tensor) -> Tensor:
        heads = query.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return cast("Tensor", self.rotary_emb(heads)).transpose(1, 2).flatten(2)


def multi_query_attention(
    query: Float[Tensor, "b n q"],
    key: Float[Tensor, "b l e"],
    value: Float[Tensor, "b l e"],
    heads: int,
    bias: Float[Tensor, "b l"] | None = None,
) -> Float[Tensor, "b n q"]:
    """Attention of many heads to one shared key and value; logits are scaled by e**-0.5.

    `bias` is added to the logits of the keys. A row that is -inf throughout gives zeros.
    """
    rows, places, _ = query.shape
    folded = query.reshape(rows, 1, places * heads, -1)  # all heads of a token are rows of one head
    mask = None if bias is None else bias[:, None, None].to(query.dtype)
    looked = functional.scaled_dot_product_attention(
        folded, key[:, None], value[:, None], attn_mask=mask
    )
    return looked.reshape(rows, places, -1)


def _copies(values: Tensor, rows: int) -> Tensor:
    """`values` repeated to `rows` rows; the same tensor if it has them already."""
    times = rows // len(values)
    return values if times == 1 else values.repeat(times, 1, 1)
