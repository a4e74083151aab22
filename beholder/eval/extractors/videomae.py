"""VideoMAE (Tong et al., 2022; Wang et al., 2023), whose features see motion better than I3D's.

Ge et al. (2024) use the giant VideoMAE v2, fine-tuned on Something-Something v2, for FVD. Two
layouts are read: the authors' files (`blocks.0.attn.qkv.weight`, with `q_bias` and `v_bias`), by
our own body, and folders of transformers, by that library.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder._published.weights import check_finite, load_exact, read_state
from beholder.errors import ConfigError, DataError, MissingDependencyError, WeightsError
from beholder.eval.extractors._base import weights_id
from beholder.eval.extractors._beyond_weights import joint_id, settings_text
from beholder.eval.extractors._clip_protocol import ClipProtocol, VideoExtractor, choose

SOURCE = (
    "huggingface.co/OpenGVLab/InternVideoMAE_models, mae-g/vit_g_hybrid_pt_1200e_ssv2_ft.pth, for "
    "which its authors ask a form to be filled in; or a folder such as that of "
    "MCG-NJU/videomae-base-finetuned-kinetics"
)
PROTOCOLS = {
    "cd-fvd": ClipProtocol(name="cd-fvd", size=224, shift=(0.0,) * 3, scale=(255.0,) * 3),
    "imagenet": ClipProtocol(
        name="imagenet", size=224, shift=(123.675, 116.28, 103.53), scale=(58.395, 57.12, 57.375)
    ),
}
"""Frames are stretched, bilinear. cd-fvd feeds [0, 1], as it came from training otherwise."""

_HEADS = {384: 6, 768: 12, 1024: 16, 1280: 16, 1408: 16}
"""Of the published models, by width."""
_BLOCK = re.compile(r"blocks\.(\d+)\.norm1\.weight")
_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Shape:
    """What the weights say of their network.

    Attributes:
        width: of a token.
        depth: number of blocks.
        hidden: width inside the two-layer networks.
        tube: frames, height and width of the pixels of one token.
        classes: of the classifier.
        heads: of the attention.
    """

    width: int
    depth: int
    hidden: int
    tube: tuple[int, int, int]
    classes: int
    heads: int


class Tubes(nn.Module):
    """Tokens of pixels, under the name of the public layout."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, shape.width, shape.tube, shape.tube)

    @override
    def forward(self, pixels: Float[Tensor, "b 3 t h w"]) -> Float[Tensor, "b n d"]:
        found: Tensor = self.proj(pixels)
        return found.flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention whose keys have no bias."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q_bias = nn.Parameter(torch.zeros(shape.width))
        self.v_bias = nn.Parameter(torch.zeros(shape.width))
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.proj = nn.Linear(shape.width, shape.width)

    @override
    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        joint = functional.linear(tokens, self.qkv.weight, bias)
        query, key, value = joint.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(query, key, value)
        mixed: Tensor = self.proj(found.transpose(1, 2).flatten(2))
        return mixed


class TwoLayers(nn.Module):
    """A two-layer network with the exact GELU between."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.width, shape.hidden)
        self.fc2 = nn.Linear(shape.hidden, shape.width)

    @override
    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        found: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return found


class Block(nn.Module):
    """Attention, then two layers, each around a shortcut and after a layer norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.width, eps=_EPSILON)
        self.attn = Attention(shape)
        self.norm2 = nn.LayerNorm(shape.width, eps=_EPSILON)
        self.mlp = TwoLayers(shape)

    @override
    def forward(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        tokens = tokens + self.attn(self.norm1(tokens))
        found: Tensor = tokens + self.mlp(self.norm2(tokens))
        return found


class VideoTransformer(nn.Module):
    """The body, in the authors' key layout."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.patch_embed = Tubes(shape)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.fc_norm = nn.LayerNorm(shape.width, eps=_EPSILON)
        self.head = nn.Linear(shape.width, shape.classes)

    @override
    def forward(self, pixels: Float[Tensor, "b 3 t h w"]) -> dict[str, Tensor]:
        """The layers "pooled" (b, d), the norm of the mean token, and "logits" (b, classes)."""
        tokens = self.patch_embed(pixels)
        tokens = tokens + positions(tokens.shape[1], tokens.shape[2]).to(tokens)
        for block in self.blocks:
            tokens = block(tokens)
        pooled = self.fc_norm(tokens.mean(1))
        return {"pooled": pooled, "logits": self.head(pooled)}


class TransformersBody(nn.Module):
    """A model of transformers as a body."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @override
    def forward(self, pixels: Float[Tensor, "b 3 t h w"]) -> dict[str, Tensor]:
        """As `VideoTransformer`; "pooled" is what goes into the classifier."""
        model = cast("Any", self.model)
        tokens = model.videomae(pixels.transpose(1, 2)).last_hidden_state
        pooled = tokens[:, 0] if model.fc_norm is None else model.fc_norm(tokens.mean(1))
        return {"pooled": pooled, "logits": model.classifier(pooled)}


class VideoMaeExtractor(VideoExtractor):
    """Features of VideoMAE: "pooled", which FVD compares, and "logits".

    `identity` names the heads where they are not those of the published model of this width;
    `weights_id` of a folder is that of its weights and settings together.

    Attributes:
        frames: how many a clip has to have.
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Mapping[str, int],
        frames: int,
        protocol: ClipProtocol,
        weights: str,
        identity: str = "videomae",
    ) -> None:
        super().__init__(protocol, layers, weights)
        self.network = network
        self.identity = identity
        self.frames = frames

    @override
    def forward(self, prepared: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Features of clips (b, t, 3, s, s); DataError if t is not `frames`."""
        self.check_layers(layers)
        pixels = self.protocol.volumes(prepared)
        if pixels.shape[2] != self.frames:
            raise DataError(
                f"this VideoMAE takes clips of {self.frames} frames, got {pixels.shape[2]}"
            )
        found = self.network(pixels)
        return {layer: found[layer] for layer in layers}


def build(
    weights: str | Path | None = None,
    protocol: str = "cd-fvd",
    size: int | None = None,
    frames: int = 16,
    heads: int | None = None,
) -> VideoMaeExtractor:
    """VideoMAE, of weights that have to be given.

    Args:
        weights: a file in the authors' layout, or a folder of transformers.
        protocol: "cd-fvd" feeds [0, 1], "imagenet" the usual mean and deviation, as in training.
        size: side of the frames of a file, a multiple of its patches; None is 224. A folder says
            its own.
        frames: of a clip, of a file; a folder says its own.
        heads: of the attention, of a file; None is that of the published model of this width.

    Raises:
        ConfigError: if an option is unknown or out of range.
        WeightsError: if no weights are given, or they are damaged or do not fit.
        MissingDependencyError: if a folder is given and transformers is not installed.
    """
    if weights is None:
        raise WeightsError(f"VideoMAE needs weights=FILE or FOLDER: {SOURCE}")
    path = Path(weights)
    if path.is_dir():
        return _from_folder(path, protocol)
    return _from_file(path, choose(PROTOCOLS, protocol, size), frames, heads)


def positions(count: int, width: int) -> Float[Tensor, "n d"]:
    """Sines and cosines in turn of the token's number (Vaswani et al., 2017, section 3.5)."""
    places = torch.arange(count, dtype=torch.float64)[:, None]
    even = torch.arange(0, width, 2, dtype=torch.float64)
    angles = places * torch.exp(-math.log(10000.0) * even / width)
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)[:, :width].float()


def _from_file(
    path: Path, protocol: ClipProtocol, frames: int, heads: int | None
) -> VideoMaeExtractor:
    state = {k.removeprefix("module."): v for k, v in read_state(path).items()}
    shape = shape_of(state, str(path), heads)
    _check_tubes(shape, frames, protocol.size)
    with torch.device("meta"):
        network = VideoTransformer(shape)
    network.to_empty(device="cpu")
    load_exact(network, state, where=str(path))
    layers = {"pooled": shape.width, "logits": shape.classes}
    network.eval().requires_grad_(requires_grad=False)
    told = "" if shape.heads == _HEADS.get(shape.width) else f", {shape.heads} heads"
    identity = f"videomae{told}"  # the weights are the same for any number of heads
    return VideoMaeExtractor(network, layers, frames, protocol, weights_id(state), identity)


def shape_of(state: Mapping[str, Tensor], where: str, heads: int | None = None) -> Shape:
    """The network whose weights these are.

    Raises WeightsError if they are of no such network, ConfigError if `heads` is wrong or needed.
    """
    try:
        tubes = state["patch_embed.proj.weight"]
        hidden = state["blocks.0.mlp.fc1.weight"].shape[0]
        classes = state["head.weight"].shape[0]
    except (KeyError, IndexError) as error:
        raise WeightsError(
            f"{where} holds no VideoMAE in its authors' layout: {error} is missing; give the file "
            "of a fine-tuned model, or a folder of transformers"
        ) from error
    if tubes.ndim != 5:
        raise WeightsError(f"{where} holds a transformer of pictures, not of videos")
    depth = sum(_BLOCK.fullmatch(key) is not None for key in state)
    width, _, *tube = tubes.shape
    return Shape(width, depth, hidden, (tube[0], tube[1], tube[2]), classes, _heads(width, heads))


def _heads(width: int, heads: int | None) -> int:
    known = _HEADS.get(width) if heads is None else heads
    if known is None:
        raise ConfigError(f"no published VideoMAE has width {width}; give heads=NUMBER")
    if known < 1 or width % known:
        raise ConfigError(f"heads must divide the width {width}, got {known}")
    return known


def _check_tubes(shape: Shape, frames: int, size: int) -> None:
    deep, tall, wide = shape.tube
    if frames < 1 or frames % deep:
        raise ConfigError(f"frames must be a multiple of {deep}, got {frames}")
    if size % tall or size % wide:
        raise ConfigError(f"size must be a multiple of {tall}, got {size}")


def _from_folder(path: Path, protocol: str) -> VideoMaeExtractor:
    try:
        from transformers import VideoMAEForVideoClassification  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "a folder of VideoMAE needs transformers: pip install transformers"
        ) from error
    try:
        model, report = VideoMAEForVideoClassification.from_pretrained(
            path, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise WeightsError(f"{path} is no intact folder of VideoMAE: {reason}") from error
    if missing := sorted(report["missing_keys"]):
        raise WeightsError(
            f"{path} lacks {', '.join(missing[:4])} and so is no fine-tuned VideoMAE"
        )
    check_finite(model.state_dict(), str(path))
    config = model.config
    layers = {"pooled": config.hidden_size, "logits": config.num_labels}
    chosen = choose(PROTOCOLS, protocol, config.image_size)
    body = TransformersBody(model.eval().requires_grad_(requires_grad=False))
    identifier = joint_id(weights_id(model.state_dict()), settings_text(model))
    return VideoMaeExtractor(body, layers, config.num_frames, chosen, identifier)
