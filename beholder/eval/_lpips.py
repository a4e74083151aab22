"""LPIPS (Zhang et al., 2018), version 0.1 on AlexNet, as vectors of which distances are squared.

Its linear layers come with the package: `_data/lpips_alex.safetensors`, whose notice is beside it.
AlexNet's convolutions are torchvision's, of the file that torchvision itself downloads.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from beholder._published.downloads import download
from beholder._published.weights import read_state
from beholder.errors import WeightsError

TRUNK = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
"""AlexNet trained on ImageNet, torchvision's IMAGENET1K_V1 (BSD-3-Clause)."""
_SHA256 = "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"
_PREFIX = "features."
_DATA = Path(__file__).parent / "_data" / "lpips_alex.safetensors"
_CUTS = (0, 2, 5, 8, 10, 12)  # where a part of the trunk begins; each ends with a rectifier
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
SMALLEST = 32
"""The shortest side, in pixels, of which the last layer still has something left."""


class Lpips(nn.Module):
    """Vectors (b, d) of pictures; the LPIPS of two is the square of their Euclidean distance.

    Every layer's features have length 1 at each place; each channel is scaled by the root of its
    learned weight, and each layer by the root of its number of places (Zhang et al., 2018, eq. 1).
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        )
        for name, weights in load_file(_DATA).items():
            self.register_buffer(name, weights)

    def forward(self, pixels: Tensor) -> Float[Tensor, "b d"]:
        """Vectors of pixels (b, 3, h, w) in [0, 1], of sides of `SMALLEST` or more."""
        shift, scale = (pixels.new_tensor(v)[:, None, None] for v in (_SHIFT, _SCALE))
        values = (2 * pixels - 1 - shift) / scale
        layers = []
        for number, (start, end) in enumerate(pairwise(_CUTS)):
            values = self.features[start:end](values)
            layers.append(_weighed(values, cast("Tensor", getattr(self, f"layer{number}"))))
        return torch.cat(layers, dim=1)


def load_lpips(trunk: str | Path | None = None) -> Lpips:
    """LPIPS on AlexNet, in eval mode.

    `trunk` is a local file with torchvision's names of AlexNet's weights; None takes torchvision's
    from torch's cache, downloaded there if it is not.
    Raises WeightsError if the file cannot be had, is damaged or does not fit.
    """
    path = download(TRUNK, _SHA256) if trunk is None else Path(trunk)
    model = Lpips()
    state = read_state(path)
    own = {k.removeprefix(_PREFIX): v for k, v in state.items() if k.startswith(_PREFIX)}
    try:
        model.features.load_state_dict(own)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not hold AlexNet's weights: {error}") from error
    return model.eval().requires_grad_(requires_grad=False)


def _weighed(
    features: Float[Tensor, "b c h w"], weights: Float[Tensor, " c"]
) -> Float[Tensor, "b k"]:
    unit = features / (features.square().sum(1, keepdim=True).sqrt() + 1e-10)
    places = features.shape[2] * features.shape[3]
    return (unit * (weights / places).sqrt()[:, None, None]).flatten(1)
