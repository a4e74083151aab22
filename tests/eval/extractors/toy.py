"""An extractor of milliseconds whose features are known by heart."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from beholder.eval.extractors._base import Extractor, weights_id


class Toy(Extractor):
    """Layer "mean": the mean colour; layer "cells": the colours of a 2 x 2 grid; "calls" counted.

    Of clips it gives the mean over their frames.
    """

    identity = "toy"
    resize = "box"

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(gain))
        self.weights_id = weights_id(self.state_dict())
        self.seen = 0

    @property
    @override
    def layers(self) -> Mapping[str, int]:
        return {"mean": 3, "cells": 12}

    @override
    def prepare(self, picture: Tensor) -> Tensor:
        pixels = picture.float().flatten(0, -4) if picture.ndim > 4 else picture.float()
        return functional.adaptive_avg_pool2d(pixels, 2)

    @override
    def forward(self, prepared: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        self.check_layers(layers)
        self.seen += len(prepared)
        cells = prepared.mean(1) if prepared.ndim == 5 else prepared
        found = {"mean": cells.mean((2, 3)), "cells": cells.flatten(1)}
        return {layer: self.gain * found[layer] for layer in layers}


def network() -> torch.nn.Module:
    """A module for the extractor "custom": the mean colours of a 2 x 2 grid, 12 values."""
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())
