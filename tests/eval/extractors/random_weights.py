"""Random weights in the published layouts, of a scale at which signals neither die nor explode."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor

from beholder.eval.extractors._inception import Inception


def inception_state(seed: int = 0) -> dict[str, Tensor]:
    """Weights as in pt_inception-2015-12-05, of the real size: 23.8 million."""
    with torch.device("meta"):
        network = Inception()
    return _random(network.state_dict(), seed)


def vgg16_state(narrower: int = 32, seed: int = 0) -> dict[str, Tensor]:
    """Weights in torchvision's layout of vgg16, its widths divided by `narrower`."""
    shapes: dict[str, tuple[int, ...]] = {}
    layer, inputs = 0, 3
    for convolutions, published in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        width = published // narrower
        for _ in range(convolutions):
            shapes[f"features.{layer}.weight"] = (width, inputs, 3, 3)
            shapes[f"features.{layer}.bias"] = (width,)
            layer, inputs = layer + 2, width
        layer += 1
    fully = [49 * inputs, 4096 // narrower, 4096 // narrower, 1000 // narrower]
    for number, (before, after) in zip((0, 3, 6), pairwise(fully), strict=True):
        shapes[f"classifier.{number}.weight"] = (after, before)
        shapes[f"classifier.{number}.bias"] = (after,)
    return _random(_empty(shapes), seed)


def dinov2_state(
    width: int = 128, depth: int = 2, grid: int = 37, patch: int = 14, seed: int = 0
) -> dict[str, Tensor]:
    """Weights in torch.hub's layout of DINOv2, of any size."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1 + grid * grid, width),
        "mask_token": (1, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    block: dict[str, tuple[int, ...]] = {
        **{f"norm{n}.{kind}": (width,) for n in (1, 2) for kind in ("weight", "bias")},
        **{f"ls{n}.gamma": (width,) for n in (1, 2)},
        "attn.qkv.weight": (3 * width, width),
        "attn.qkv.bias": (3 * width,),
        "attn.proj.weight": (width, width),
        "attn.proj.bias": (width,),
        "mlp.fc1.weight": (4 * width, width),
        "mlp.fc1.bias": (4 * width,),
        "mlp.fc2.weight": (width, 4 * width),
        "mlp.fc2.bias": (width,),
    }
    blocks = {f"blocks.{n}.{key}": shape for n in range(depth) for key, shape in block.items()}
    return _random(_empty(shapes | blocks), seed)


def _empty(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def _random(empty: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: _value(name, value.shape, generator)
        for name, value in empty.items()
        if not name.endswith("num_batches_tracked")
    }


def _value(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    noise = torch.randn(shape, generator=generator)
    if name.endswith("running_var"):
        return 1 + 0.2 * noise.clamp(-3, 3)
    if name.endswith((".gamma", "bn.weight", "norm1.weight", "norm2.weight", "norm.weight")):
        return 1 + 0.1 * noise
    if len(shape) > 1 and name.endswith(".weight"):
        deviation = math.sqrt(2 / shape[1:].numel())  # He et al., 2015, eq. 10
        return noise * deviation
    return 0.3 * noise
