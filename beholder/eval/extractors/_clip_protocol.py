"""How clips come to a video network: the size of their frames, and the range of their values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor
from typing_extensions import override

from beholder.errors import ConfigError, DataError
from beholder.eval.extractors._base import Extractor
from beholder.eval.extractors._kinetics import classes_of
from beholder.eval.extractors._resize import resized


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipProtocol:
    """What a published metric does to a clip before its network.

    Attributes:
        name: what `Origin.resize` says of it.
        size: side of the square frames, in pixels.
        resize: a name of `beholder.eval.extractors._resize`.
        crop: whether the shorter side becomes `size` and the square in the middle is kept, or
            frames are stretched to the square.
        shift, scale: of red, green and blue: the network sees (value - shift) / scale of [0, 255].
    """

    name: str
    size: int
    resize: str = "pytorch-legacy"
    crop: bool = False
    shift: tuple[float, float, float] = (127.5, 127.5, 127.5)
    scale: tuple[float, float, float] = (127.5, 127.5, 127.5)

    def prepare(self, frames: Tensor) -> Shaped[Tensor, "t 3 s s"]:
        """Frames (t, 3, h, w) of uint8 at `size`, in [0, 255]; uint8 if they came so large.

        Raises DataError if they are no such frames.
        """
        if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != torch.uint8:
            raise DataError(
                f"expected the frames of a clip, (t, 3, h, w) of uint8, got {tuple(frames.shape)} "
                f"of {frames.dtype}"
            )
        if frames.numel() == 0:
            raise DataError(f"frames of shape {tuple(frames.shape)} have no pixel to resize")
        if frames.shape[-2:] == (self.size, self.size):
            return frames
        # one by one, since the floats of a long clip of large frames would fill the memory
        return torch.cat([self._prepare_one(frame) for frame in frames.split(1)])

    def volumes(self, prepared: Tensor) -> Float[Tensor, "b 3 t h w"]:
        """A stack of prepared clips (b, t, 3, s, s) as the network sees it.

        Channels come last in memory, by which I3D on a CPU is a sixth faster.
        Raises DataError if it is no such stack.
        """
        if prepared.ndim != 5 or prepared.shape[2] != 3:
            raise DataError(f"expected clips (b, t, 3, s, s), got shape {tuple(prepared.shape)}")
        shift, scale = (
            torch.tensor(v, device=prepared.device)[:, None, None, None]
            for v in (self.shift, self.scale)
        )
        values = (prepared.transpose(1, 2).float() - shift) / scale
        return values.contiguous(memory_format=torch.channels_last_3d)

    def _prepare_one(self, frame: UInt8[Tensor, "1 3 h w"]) -> Shaped[Tensor, "1 3 s s"]:
        if not self.crop:
            return resized(frame, self.size, self.resize)
        tall, wide = _short_side(frame.shape[2], frame.shape[3], self.size)
        top, left = (tall - self.size) // 2, (wide - self.size) // 2
        large = resized(frame, (tall, wide), self.resize)
        return large[:, :, top : top + self.size, left : left + self.size]


class VideoExtractor(Extractor):
    """A network of clips that come to it by a protocol.

    Args:
        protocol: how.
        layers: what it gives, and how many values each has.
        weights: what `weights_id` gave.

    Attributes:
        classes: what its logits tell, if they are those of Kinetics-400.
    """

    takes = "clips"

    def __init__(self, protocol: ClipProtocol, layers: Mapping[str, int], weights: str) -> None:
        super().__init__()
        self.protocol = protocol
        self.resize = protocol.name
        self.weights_id = weights
        self.classes = classes_of(layers["logits"])
        self._layers = dict(layers)

    @property
    @override
    def layers(self) -> Mapping[str, int]:
        return self._layers

    @override
    def prepare(self, picture: Tensor) -> Tensor:
        return self.protocol.prepare(picture)


P = TypeVar("P", bound=ClipProtocol)


def choose(protocols: Mapping[str, P], name: str, size: int | None) -> P:
    """The protocol of a name, with frames of another `size` if one is given and its name says so.

    Raises ConfigError if the name is unknown or the size is below 1.
    """
    if name not in protocols:
        raise ConfigError(f"protocol must be one of {', '.join(protocols)}; got {name!r}")
    protocol = protocols[name]
    if size is None or size == protocol.size:
        return protocol
    if size < 1:
        raise ConfigError(f"size must be 1 or more, got {size}")
    return replace(protocol, size=size, name=f"{name}, {size} pixels")


def check_frames(frames: int, least: int, identity: str) -> None:
    """Raise DataError if a network cannot see clips of so few frames."""
    if frames < least:
        raise DataError(
            f"{identity} needs clips of {least} frames or more, got {frames}; take longer clips "
            "or a smaller stride"
        )


def _short_side(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width whose shorter side is `size`, the longer rounded up.

    Rounding may lift a whole number over itself, so that a square of 100 becomes 225 x 224; the
    published code has that too, and crops.
    """
    scale = size / min(height, width)
    if height < width:
        return size, math.ceil(width * scale)
    return math.ceil(height * scale), size
