"""Vision transformer (Dosovitskiy et al., 2021) as CLIP and DINOv2 have it, sized by its weights.

Names of weights are DINOv2's: `cls_token`, `pos_embed`, `blocks.0.attn.qkv.weight` and so on, with
`norm_pre` before the blocks and `head` behind the last norm where a network has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder._published.weights import load_exact
from beholder.errors import WeightsError
from beholder.eval.extractors._base import Extractor
from beholder.eval.extractors._resize import resized

HEAD = 64
"""Values of an attention head in OpenAI's CLIP and in DINOv2; narrower networks have one head."""

Rules = Sequence[tuple[str, str]]
"""Patterns of published keys and what stands for them here, applied one after another."""

Colours = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and deviation of red, green and blue, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What the weights do not say.

    Attributes:
        epsilon: of every layer norm.
        activation: of the perceptron.
        heads: of the attention; None is one for each `HEAD` values.
        offset: added to the new number of cells a side where positions are interpolated.
    """

    epsilon: float
    activation: Callable[[Tensor], Tensor]
    offset: float = 0.0
    heads: int | None = None


def quick_gelu(values: Tensor) -> Tensor:
    """CLIP's stand-in for GELU, x * sigmoid(1.702 x) (Hendrycks & Gimpel, 2016, section 2)."""
    return values * (1.702 * values).sigmoid()


class Attention(nn.Module):
    """Self-attention of all tokens."""

    def __init__(self, width: int, heads: int | None = None) -> None:
        super().__init__()
        self.heads = heads or max(1, width // HEAD)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        parts = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*parts.unbind(0))
        merged: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return merged


class Perceptron(nn.Module):
    """Two layers around the kind's activation."""

    def __init__(self, width: int, hidden: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.activation = activation

    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        result: Tensor = self.fc2(self.activation(self.fc1(tokens)))
        return result


class Gated(nn.Module):
    """SwiGLU, silu(a) * b for the halves a and b of the first layer (Shazeer, 2020)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        gate, values = self.w12(tokens).chunk(2, dim=2)
        result: Tensor = self.w3(functional.silu(gate) * values)
        return result


class Scale(nn.Module):
    """A learned factor a channel (LayerScale; Touvron et al., 2021)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return tokens * self.gamma


class Block(nn.Module):
    """Attention, then perceptron, each behind a norm and around a shortcut."""

    def __init__(self, state: Mapping[str, Tensor], kind: Kind, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, kind.epsilon)
        self.attn = Attention(width, kind.heads)
        scaled = "blocks.0.ls1.gamma" in state
        self.ls1 = Scale(width) if scaled else nn.Identity()
        self.norm2 = nn.LayerNorm(width, kind.epsilon)
        self.mlp = _perceptron(state, kind, width)
        self.ls2 = Scale(width) if scaled else nn.Identity()

    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        result: Tensor = tokens + self.ls2(self.mlp(self.norm2(tokens)))
        return result


class Vit(nn.Module):
    """Picture -> its class token behind the last norm, and through `head` where there is one."""

    def __init__(self, state: Mapping[str, Tensor], kind: Kind) -> None:
        super().__init__()
        width, colours, self.patch, _ = state["patch_embed.proj.weight"].shape
        self.grid = round((state["pos_embed"].shape[1] - 1) ** 0.5)
        self.offset = kind.offset
        self.depth = sum(name.endswith(".norm1.weight") for name in state)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid**2, width))
        self.patch_embed = nn.Module()
        bias = "patch_embed.proj.bias" in state
        self.patch_embed.proj = nn.Conv2d(colours, width, self.patch, self.patch, bias=bias)
        before = "norm_pre.weight" in state
        self.norm_pre = nn.LayerNorm(width, kind.epsilon) if before else nn.Identity()
        self.blocks = nn.Sequential(*(Block(state, kind, width) for _ in range(self.depth)))
        self.norm = nn.LayerNorm(width, kind.epsilon)
        head = state.get("head.weight")
        self.head = nn.Identity() if head is None else nn.Linear(width, len(head), bias=False)
        self.width = width
        self.dim = width if head is None else len(head)

    def forward(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """The pictures' embeddings; height and width are multiples of the patch."""
        cells = self.patch_embed.get_submodule("proj")(pixels)
        first = self.cls_token.expand(len(pixels), -1, -1)
        tokens = torch.cat((first, cells.flatten(2).mT), dim=1)
        tokens = tokens + self.positions(cells.shape[2], cells.shape[3])
        result: Tensor = self.head(self.norm(self.blocks(self.norm_pre(tokens))[:, 0]))
        return result

    def positions(self, height: int, width: int) -> Float[Tensor, "1 n d"]:
        """Positions of a grid of cells: the learned ones, bicubic between them if it is another."""
        if height == width == self.grid:
            return self.pos_embed
        learned = self.pos_embed[:, 1:].unflatten(1, (self.grid, self.grid)).permute(0, 3, 1, 2)
        scale = [(side + self.offset) / self.grid for side in (height, width)]
        cells = (
            functional.interpolate(learned, scale_factor=scale, mode="bicubic")
            if self.offset
            else functional.interpolate(learned, (height, width), mode="bicubic")
        )
        return torch.cat((self.pos_embed[:, :1], cells.flatten(2).mT), dim=1)


def load_vit(state: Mapping[str, Tensor], kind: Kind, where: str) -> Vit:
    """A network in eval mode from weights under its own names.

    Raises WeightsError, naming `where`, if they do not make a vision transformer.
    """
    needed = ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.proj.weight")
    missing = [name for name in needed if name not in state]
    if missing:
        raise WeightsError(f"{where} holds no vision transformer: it lacks {', '.join(missing)}")
    try:
        with torch.device("meta"):
            network = Vit(state, kind)
    except ValueError as error:  # weights of other axes under these names
        raise WeightsError(f"{where} holds no vision transformer: {error}") from error
    network.to_empty(device="cpu")
    load_exact(network, state, where=where)
    return network.eval().requires_grad_(requires_grad=False)


def own_name(key: str, rules: Rules) -> str:
    """A published key after all rules."""
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key


def joined(state: Mapping[str, Tensor], parts: Sequence[str], whole: str) -> dict[str, Tensor]:
    """The weights with those of layers that read the same input stacked into one layer.

    For parts ("attn.q", "attn.k") and whole "attn.qk": `blocks.0.attn.q.bias` over its `k`.
    """
    first = re.compile(rf"(.*\.){re.escape(parts[0])}(\.\w+)")
    result = {k: v for k, v in state.items() if not re.search(_any_of(parts), k)}
    for match in filter(None, map(first.fullmatch, state)):
        keys = [f"{match[1]}{part}{match[2]}" for part in parts]
        if all(key in state for key in keys):
            result[f"{match[1]}{whole}{match[2]}"] = torch.cat([state[key] for key in keys])
    return result


def _any_of(parts: Sequence[str]) -> str:
    return rf"\.({'|'.join(map(re.escape, parts))})\.\w+$"


def _perceptron(state: Mapping[str, Tensor], kind: Kind, width: int) -> nn.Module:
    gated, plain = (state.get(f"blocks.0.mlp.{name}.weight") for name in ("w3", "fc1"))
    if gated is not None:
        return Gated(width, gated.shape[1])
    return Perceptron(width, width if plain is None else len(plain), kind.activation)


class VitExtractor(Extractor):
    """The class token of a `Vit`, of pictures that were resized and had their colours normalised.

    Args:
        network: in eval mode.
        layer: the name of its only layer.
        side: of the square that it sees, in pixels.
        protocol: of the resize.
        colours: mean and deviation of red, green and blue in [0, 1].
        weights: what `weights_id` gave.
    """

    def __init__(
        self, network: Vit, layer: str, side: int, protocol: str, colours: Colours, weights: str
    ) -> None:
        super().__init__()
        self.network, self.layer = network, layer
        self.side, self.protocol, self.colours = side, protocol, colours
        self.size = f"vit{network.width}x{network.depth}/{network.patch}"
        self.resize = protocol
        self.weights_id = weights

    @property
    @override
    def layers(self) -> Mapping[str, int]:
        return {self.layer: self.network.dim}

    @override
    def prepare(self, picture: Tensor) -> Tensor:
        return resized(picture, self.side, self.protocol)

    @override
    def forward(self, prepared: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        self.check_layers(layers)
        values = prepared.float() / 255
        mean, std = (values.new_tensor(v)[:, None, None] for v in self.colours)
        return dict.fromkeys(layers, self.network((values - mean) / std))
