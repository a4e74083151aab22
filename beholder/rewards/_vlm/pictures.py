"""Pictures as Qwen2-VL takes them: of their own aspect ratio, in patches."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, sqrt

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from beholder.errors import ConfigError
from beholder.rewards._preprocess import CLIP_MEAN, CLIP_STD, resize

MAX_RATIO = 200
"""Longer pictures, which the published code refuses, are squeezed to this aspect ratio."""


@dataclass(frozen=True, kw_only=True)
class PixelBudget:
    """Sides are brought to multiples of `factor`, the area between two bounds (Wang et al., 2024).

    The aspect ratio is kept as far as that allows. A call gives values normalised as CLIP's.

    Attributes:
        min_pixels, max_pixels: bounds of the area.
        factor: pixels a side of one picture token.

    Raises ConfigError if the bounds leave no picture.
    """

    min_pixels: int
    max_pixels: int
    factor: int = 28

    def __post_init__(self) -> None:
        if not self.factor**2 <= self.max_pixels:
            raise ConfigError(
                f"max_pixels must hold one token of {self.factor}x{self.factor} pixels, "
                f"got {self.max_pixels}"
            )
        if not 0 < self.min_pixels <= self.max_pixels:
            raise ConfigError(
                f"min_pixels must lie in [1, max_pixels], got {self.min_pixels} of "
                f"{self.max_pixels}"
            )

    def __call__(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        """Normalised values of uint8 pixels or float pixels in [0, 1]; gradients pass floats."""
        resized = resize(pixels, *self.target(*pixels.shape[2:]))
        mean = resized.new_tensor(CLIP_MEAN)[:, None, None]
        std = resized.new_tensor(CLIP_STD)[:, None, None]
        return (resized - mean) / std

    def shrink(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Shaped[Tensor, "b 3 _ _"]:
        """8-bit pixels on the CPU resized, so that a call gives the same of them.

        Other pixels come back as they are.
        """
        if pixels.dtype != torch.uint8 or pixels.device.type != "cpu":
            return pixels
        height, width = self.target(*pixels.shape[2:])
        if self.target(height, width) != (height, width):
            return pixels
        return (resize(pixels, height, width) * 255).round().to(torch.uint8)

    def target(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that the model sees of a picture."""
        height, width = _squeezed(height, width)
        tall, wide = (max(1, round(side / self.factor)) for side in (height, width))
        area = tall * wide * self.factor**2
        if area > self.max_pixels:
            scale = sqrt(height * width / self.max_pixels) * self.factor
            tall, wide = (max(1, floor(side / scale)) for side in (height, width))
        elif area < self.min_pixels:
            scale = sqrt(self.min_pixels / (height * width))
            tall, wide = (ceil(side * scale / self.factor) for side in (height, width))
        return tall * self.factor, wide * self.factor


def patches(
    pixel_values: Float[Tensor, "b 3 h w"], patch: int, frames: int, merge: int
) -> Float[Tensor, "n p"]:
    """Patches of all pictures, one after another, as transformers' Qwen2-VL reads them.

    The `merge` x `merge` patches of one token stand next to each other. Every picture is an image
    of its own, repeated `frames` times, never a frame of a video.
    """
    rows, columns = (side // (patch * merge) for side in pixel_values.shape[2:])
    cells = pixel_values.reshape(-1, 3, rows, merge, patch, columns, merge, patch)
    cells = cells.permute(0, 2, 5, 3, 6, 1, 4, 7)
    repeated = cells[:, :, :, :, :, :, None].expand(*cells.shape[:6], frames, patch, patch)
    return repeated.reshape(-1, 3 * frames * patch * patch)


def _squeezed(height: int, width: int) -> tuple[int, int]:
    return min(height, MAX_RATIO * width), min(width, MAX_RATIO * height)
