"""What every extractor of features offers."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from beholder.errors import ConfigError
from beholder.eval._origin import Origin

Kind = Literal["pictures", "clips"]


class Extractor(nn.Module, ABC):
    """A network and the protocol by which pictures or clips come to it.

    Attributes:
        takes: "pictures", or "clips" of a fixed number of frames.
        identity: what `Origin.extractor` says, such as "inception-2015-12-05".
        resize: what `Origin.resize` says, such as "tf1".
        weights_id: what `Origin.weights` says; set once the weights are in, before any fusing.
    """

    takes: ClassVar[Kind] = "pictures"
    identity: str
    resize: str
    weights_id: str

    @property
    @abstractmethod
    def layers(self) -> Mapping[str, int]:
        """The layers that can be asked for, and how many values each has."""

    @abstractmethod
    def prepare(self, picture: Tensor) -> Tensor:
        """A picture (3, h, w), uint8, at the network's size: (3, s, s) uint8 or float in [0, 255].

        For clips: frames (t, 3, h, w) -> (t, 3, s, s). Runs in the threads that decode.
        """

    @abstractmethod
    def forward(self, prepared: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Features (b, d), float32, of every layer asked for.

        Args:
            prepared: a stack of what `prepare` gave, (b, 3, s, s) or (b, t, 3, s, s), on the
                device of the weights.
            layers: names out of `layers`.
        """

    def origin(self, layer: str, decode: str, clips: str = "") -> Origin:
        """What made the features of a layer."""
        return Origin(
            extractor=self.identity,
            weights=self.weights_id,
            layer=layer,
            resize=self.resize,
            decode=decode,
            clips=clips,
        )

    def check_layers(self, layers: Sequence[str]) -> None:
        """Raise ConfigError if one of `layers` is unknown."""
        for layer in layers:
            if layer not in self.layers:
                raise ConfigError(
                    f"{self.identity} has no layer {layer!r}; it has {', '.join(self.layers)}"
                )


def weights_id(state: Mapping[str, Tensor]) -> str:
    """16 hexadecimal digits of the sha256 of weights: of their names, shapes and float32 values.

    The same for the same weights in any file format, in any order.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu()
        if value.is_floating_point():
            value = value.to(torch.float32)
        digest.update(f"{name} {tuple(value.shape)}\n".encode())
        digest.update(np.ascontiguousarray(value.numpy()).tobytes())
    return digest.hexdigest()[:16]
