"""The networks that a metric needs, and what they make of pictures or clips in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import torch
from torch import Tensor

from beholder.errors import ConfigError
from beholder.eval._features import Array
from beholder.eval._origin import Origin
from beholder.eval._precision import full_precision
from beholder.eval.extractors._base import Extractor
from beholder.eval.measures._base import Need
from beholder.images import ImageSource, as_list, read_image

Batch = ImageSource | Sequence[ImageSource] | Sequence[Sequence[ImageSource]]
"""Pictures as `as_list` takes them; or clips, each a sequence of pictures."""


class Needed:
    """Frozen networks by need. Not a module: their weights are no part of what holds them.

    Args:
        networks: one that has no layer of its need's name gives its first layer.
        takes: what comes in, "pictures" or "videos", which are clips here.

    Raises:
        ConfigError: if a network takes the other kind.
    """

    def __init__(
        self, networks: Mapping[Need, Extractor], takes: Literal["pictures", "videos"]
    ) -> None:
        self._networks = dict(networks)
        self._clips = takes == "videos"
        for network in self._networks.values():
            if (network.takes == "clips") is not self._clips:
                raise ConfigError(
                    f"the metric is of {takes}, but {network.identity} takes {network.takes}"
                )
            network.eval().requires_grad_(requires_grad=False)
        self._layers = {need: _layer(need, network) for need, network in networks.items()}

    @property
    def needs(self) -> list[Need]:
        """In the order of `origins` and `features`."""
        return list(self._networks)

    @property
    def device(self) -> torch.device:
        """Where the networks are; the CPU if they have no weights."""
        tensors = (t for network in self._networks.values() for t in network.state_dict().values())
        return next(tensors, torch.empty(0)).device

    def to(self, device: torch.device) -> None:
        """Move every network, in its own type."""
        for network in self._networks.values():
            network.to(device)

    def origins(self) -> list[Origin]:
        """What makes the features of each need."""
        clips = "as they came" if self._clips else ""
        return [
            network.origin(self._layers[need], "alpha=white", clips)
            for need, network in self._networks.items()
        ]

    def stand_in(self) -> str:
        """The first network that lacks the layer that a metric asks for; "" if none does."""
        lacking = (n.identity for need, n in self._networks.items() if _lacks(n, need.layer))
        return next(lacking, "")

    def features(self, images: Batch) -> list[Array]:
        """Features (b, d) of each need, float32; none of no pictures.

        Pictures become 8 bit and are resized on the CPU, as files are, so that numbers agree; an
        autocast around the call does not reach the networks.
        Raises ImageError if one cannot be read.
        """
        pictures = _clips(images) if self._clips else _pictures(images)
        made: dict[int, dict[str, Tensor]] = {}
        for network in self._networks.values() if pictures else ():
            if id(network) not in made:
                layers = {self._layers[n] for n, own in self._networks.items() if own is network}
                prepared = torch.stack([network.prepare(picture) for picture in pictures])
                with full_precision(self.device.type):
                    made[id(network)] = network(prepared.to(self.device), sorted(layers))
        return [
            made[id(network)][self._layers[need]].float().cpu().numpy()
            for need, network in self._networks.items()
            if pictures
        ]


def _layer(need: Need, network: Extractor) -> str:
    is_known = need.layer in network.layers
    return need.layer if is_known else next(iter(network.layers))


def _lacks(network: Extractor, layer: str) -> bool:
    return layer not in {"", *network.layers}


def _pictures(images: Batch) -> list[Tensor]:
    """Pictures (3, h, w), uint8, on the CPU."""
    given = images.detach().cpu() if isinstance(images, Tensor) else images
    return [_eight_bit(image) for image in as_list(cast("Sequence[ImageSource]", given))]


def _clips(images: Batch) -> list[Tensor]:
    """Clips (t, 3, h, w), uint8, on the CPU."""
    given = images.detach().cpu() if isinstance(images, Tensor) else images
    return [torch.stack(_pictures(clip)) for clip in cast("Sequence[Batch]", given)]


def _eight_bit(image: ImageSource) -> Tensor:
    picture = read_image(image).detach().cpu()
    return (picture.float() * 255).round().byte() if picture.is_floating_point() else picture
