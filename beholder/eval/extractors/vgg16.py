"""VGG16 (Simonyan & Zisserman, 2015), the network of improved precision and recall.

Kynkäänniemi et al. (2019, section 3.1) take the activations after the second fully connected layer,
of weights that NVIDIA distributes as a program; torch-fidelity takes that layer of torchvision's
weights, behind the rectifier. This is the latter. NVIDIA's vgg16.pt wants `return_features=True`:
call it so in a function of your own, which the extractor "custom" runs under another identity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder._published.downloads import download
from beholder._published.weights import load_exact, read_state
from beholder.errors import WeightsError
from beholder.eval.extractors._base import Extractor, weights_id
from beholder.eval.extractors._resize import check_protocol, resized
from beholder.eval.extractors._torchscript import is_torchscript

WEIGHTS = "https://download.pytorch.org/models/vgg16-397923af.pth"
"""Trained on ImageNet, torchvision's IMAGENET1K_V1 (BSD-3-Clause)."""
_SHA256 = "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"

SIDE = 224
RESIZES = ("tf1", "dgm-uint8", "clean")
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
_BLOCKS = (2, 2, 3, 3, 3)  # convolutions before each pool
_UNUSED = "classifier.6.*"  # the layer of ImageNet's classes


class Vgg16(nn.Module):
    """VGG16 up to its second fully connected layer, by torchvision's names, as wide as its weights.

    Raises KeyError if a layer's weights are missing.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for convolutions in _BLOCKS:
            for _ in range(convolutions):
                width, inputs = state[f"features.{len(layers)}.weight"].shape[:2]
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        (first, inputs), (self.width, _) = (
            state[f"classifier.{number}.weight"].shape for number in (0, 3)
        )
        # the third stands for torchvision's dropout, so that the names agree
        self.classifier = nn.Sequential(
            nn.Linear(inputs, first),
            nn.ReLU(inplace=True),
            nn.Identity(),
            nn.Linear(first, self.width),
        )

    def forward(self, pixels: Float[Tensor, "b 3 224 224"]) -> Float[Tensor, "b d"]:
        """The second fully connected layer before its rectifier."""
        values: Tensor = self.classifier(self.features(pixels).flatten(1))
        return values


class Vgg16Extractor(Extractor):
    """The second fully connected layer: "fc2_relu" behind its rectifier, or "fc2_linear"."""

    identity = "vgg16-torchvision"

    def __init__(self, network: Vgg16, resize: str, weights: str) -> None:
        super().__init__()
        self.network = network
        self.resize = resize
        self.weights_id = weights

    @property
    @override
    def layers(self) -> Mapping[str, int]:
        return dict.fromkeys(("fc2_relu", "fc2_linear"), self.network.width)

    @override
    def prepare(self, picture: Tensor) -> Tensor:
        return resized(picture, SIDE, self.resize)

    @override
    def forward(self, prepared: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        self.check_layers(layers)
        values = self.network(self._normalised(prepared))
        return {n: functional.relu(values) if n == "fc2_relu" else values for n in layers}

    def _normalised(self, prepared: Tensor) -> Float[Tensor, "b 3 s s"]:
        values = prepared.float()
        # scaled in double precision first, as torch-fidelity does: then the bits are the same
        mean, std = (
            values.new_tensor([255 * colour for colour in each])[:, None, None]
            for each in (MEAN, STD)
        )
        return (values - mean) / std


def build(weights: str | Path | None = None, resize: str = "tf1") -> Vgg16Extractor:
    """The extractor; `weights` is a local file of torchvision's layout.

    `resize` is "tf1" as torch-fidelity, "dgm-uint8" or "clean".
    Raises ConfigError for another resize, WeightsError if the file cannot be had or does not fit.
    """
    check_protocol(resize, RESIZES)
    path = download(WEIGHTS, _SHA256) if weights is None else Path(weights)
    if is_torchscript(path):
        raise WeightsError(
            f"{path} is a program, as NVIDIA's VGG16, and not torchvision's weights; call it in a "
            "function of your own and give that to the extractor 'custom'"
        )
    network = _loaded(read_state(path), str(path))
    return Vgg16Extractor(network, resize, weights_id(network.state_dict()))


def _loaded(state: Mapping[str, Tensor], where: str) -> Vgg16:
    try:
        with torch.device("meta"):
            network = Vgg16(state)
    except (KeyError, ValueError) as error:  # absent, or of other axes
        raise WeightsError(f"{where} holds no VGG16 of torchvision; see {error}") from error
    network.to_empty(device="cpu")
    load_exact(network, state, ignore=(_UNUSED,), where=where)
    return network.eval().requires_grad_(requires_grad=False)
