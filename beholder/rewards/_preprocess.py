"""Pixels to model-ready values: resize, crop, normalise, all on tensors.

Published rewards resize 8-bit pictures with Pillow; a resize of float tensors differs from it by up
to half a normalised unit at hard edges, because Pillow clamps and rounds after each of two passes.
So does `resize`, width first: Pillow's order before version 13, with which the published numbers
were made. Pillow 13 starts with the height where that shrinks much more than the width, and then
differs by tens of grey levels at hard edges; no fit that keeps the aspect ratio is affected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from beholder.errors import ConfigError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Channel means of OpenAI's CLIP (Radford et al., 2021), for pixels in [0, 1]."""

CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Channel standard deviations of OpenAI's CLIP (Radford et al., 2021)."""

Interpolation = Literal["bicubic", "bilinear"]
Fit = Literal["crop", "squash", "pad"]
CropOffset = Literal["floor", "round"]
Resampling = Literal["pillow", "antialiased", "aliased"]
"""As Pillow resizes 8-bit pictures; or float tensors as torchvision does, with or without
antialias, neither rounded nor clamped."""


def resize(
    pixels: Shaped[Tensor, "b 3 h w"],
    height: int,
    width: int,
    interpolation: Interpolation = "bicubic",
    resampling: Resampling = "pillow",
) -> Float[Tensor, "b 3 height width"]:
    """Pixels in [0, 1], resized as one of `Resampling` says; gradients pass floats.

    As "pillow", at least 99.9 % of values are within one grey level of Pillow's bicubic, and 99 %
    equal to it; float pixels, which cost more, come nearer than uint8 ones. The gradient of float
    pixels is that of the linear resize: straight through the rounding and clamping.
    """
    if resampling != "pillow":
        return _on_tensors(pixels, height, width, interpolation, resampling == "antialiased")
    if pixels.dtype == torch.uint8:
        if pixels.device.type == "cpu":
            return _on_bytes(pixels, height, width, interpolation) / 255
        pixels = pixels.float() / 255
    rows = _eight_bits(_pass(pixels.float(), pixels.shape[2], width, interpolation))
    return _eight_bits(_pass(rows, height, width, interpolation))


def _on_bytes(
    pixels: Shaped[Tensor, "b 3 h w"], height: int, width: int, interpolation: Interpolation
) -> Shaped[Tensor, "b 3 height width"]:
    """Both passes at once: on uint8 torch rounds after each of them, width first, as Pillow."""
    return _pass(pixels, height, width, interpolation)


def _on_tensors(
    pixels: Shaped[Tensor, "b 3 h w"],
    height: int,
    width: int,
    interpolation: Interpolation,
    antialias: bool,
) -> Float[Tensor, "b 3 height width"]:
    values = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()
    return _pass(values, height, width, interpolation, antialias=antialias)


def _pass(
    pixels: Shaped[Tensor, "b 3 h w"],
    height: int,
    width: int,
    interpolation: Interpolation,
    *,
    antialias: bool = True,
) -> Shaped[Tensor, "b 3 height width"]:
    if pixels.shape[2:] == (height, width):
        return pixels
    align = None if antialias else False
    return F.interpolate(
        pixels, (height, width), mode=interpolation, align_corners=align, antialias=antialias
    )


def _eight_bits(pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    levels = (pixels.clamp(0, 1) * 255 + 0.5).floor()  # Pillow rounds halves up
    return straight_through(levels / 255, pixels)


def straight_through(
    value: Float[Tensor, "*shape"], source: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Exactly `value`, with the gradient of `source` (Bengio et al., 2013)."""
    if not source.requires_grad:
        return value
    return value.detach() + (source - source.detach())


@runtime_checkable
class Fitting(Protocol):
    """Prepares pictures for a model, and shrinks 8-bit ones ahead; equal ones do it alike."""

    def __call__(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        """Model-ready values of the pictures, the same whether they were shrunk or not."""

    def shrink(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Shaped[Tensor, "b 3 _ _"]:
        """The pictures as small as they may travel to the model."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """What a model was trained to see; a call gives normalised float32 (b, 3, size, size).

    Attributes:
        size: side of the square that the model sees, in pixels.
        mean, std: of each channel, for pixels in [0, 1].
        fit: "crop" brings the shorter side to `size` and cuts the centre (CLIP, torchvision);
            "squash" ignores the aspect ratio; "pad" brings the longer side to `size` and adds
            black around it, before normalisation (HPSv2).
        interpolation: "bicubic" or "bilinear".
        resampling: "pillow", "antialiased" or "aliased"; see `Resampling`.
        crop_offset: where an odd margin goes: "floor" as transformers, "round" (half to even) as
            torchvision and open_clip.
        half: round the values through float16, as MPS's published code does.

    Raises ConfigError if a value is unknown or out of range.
    """

    size: int
    mean: Sequence[float] = CLIP_MEAN
    std: Sequence[float] = CLIP_STD
    fit: Fit = "crop"
    interpolation: Interpolation = "bicubic"
    crop_offset: CropOffset = "floor"
    half: bool = False
    resampling: Resampling = "pillow"

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(self.mean))  # JSON gives lists
        object.__setattr__(self, "std", tuple(self.std))
        if self.size < 1:
            raise ConfigError(f"size must be 1 or more, got {self.size}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ConfigError(f"need 3 means and 3 positive stds, got {self.mean} and {self.std}")
        _check_choice("fit", self.fit, get_args(Fit))
        _check_choice("interpolation", self.interpolation, get_args(Interpolation))
        _check_choice("crop_offset", self.crop_offset, get_args(CropOffset))
        _check_choice("resampling", self.resampling, get_args(Resampling))

    def __call__(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s s"]:
        """Normalised values of uint8 pixels or float pixels in [0, 1]; gradients pass floats."""
        height, width = self._target(*pixels.shape[2:])
        resized = resize(pixels, height, width, self.interpolation, self.resampling)
        fitted = self._placed(resized)
        mean = fitted.new_tensor(self.mean)[:, None, None]
        std = fitted.new_tensor(self.std)[:, None, None]
        values = (fitted - mean) / std
        return straight_through(values.half().float(), values) if self.half else values

    def shrink(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Shaped[Tensor, "b 3 _ _"]:
        """8-bit pixels on the CPU resized and cut, so that a call gives the same of them.

        As small as they get before they travel: 8-bit, but float where the resampling does not
        round. Other pixels come back as they are.
        """
        if pixels.dtype != torch.uint8 or pixels.device.type != "cpu":
            return pixels
        height, width = self._target(*pixels.shape[2:])
        if self.resampling == "pillow":
            return self._placed(_on_bytes(pixels, height, width, self.interpolation)).contiguous()
        resized = resize(pixels, height, width, self.interpolation, self.resampling)
        return self._placed(resized).contiguous()

    def _target(self, height: int, width: int) -> tuple[int, int]:
        """Height and width before cutting or padding."""
        if self.fit == "squash":
            return self.size, self.size
        short, long = sorted((height, width))
        if self.fit == "pad":
            scale = self.size / long
            return max(1, round(height * scale)), max(1, round(width * scale))
        stretched = int(self.size * long / short)
        return (self.size, stretched) if height <= width else (stretched, self.size)

    def _placed(self, resized: Shaped[Tensor, "b 3 h w"]) -> Shaped[Tensor, "b 3 s s"]:
        """The centre of a picture that is too large, or black around one that is too small."""
        height, width = resized.shape[2:]
        if self.fit == "pad":
            down, across = self.size - height, self.size - width
            return F.pad(resized, (across // 2, across - across // 2, down // 2, down - down // 2))
        top, left = self._offset(height), self._offset(width)
        return resized[:, :, top : top + self.size, left : left + self.size]

    def _offset(self, side: int) -> int:
        margin = side - self.size
        return margin // 2 if self.crop_offset == "floor" else round(margin / 2)


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"{name} must be one of {', '.join(known)}; got {value!r}")
