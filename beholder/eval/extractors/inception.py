"""Inception-v3 of December 2015, the network of FID, Inception Score, KID and sFID.

This is TensorFlow's graph `inception-2015-12-05` (Szegedy et al., 2016), not torchvision's network:
its average pools leave the padding out of the mean, its last block pools by the maximum, and it
tells 1,008 classes. Weights are those of pytorch-fid's conversion, which torch-fidelity reads too.

The resize decides the input's range as well, as each package has it: `2 (x / 255) - 1` for
"pytorch-legacy", `(x - 128) / 128` for all others, clean-fid's "clean" among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from beholder._published.downloads import download
from beholder._published.weights import load_exact, read_state
from beholder.eval.extractors._base import Extractor, weights_id
from beholder.eval.extractors._inception import SFID_CHANNELS, Inception
from beholder.eval.extractors._resize import check_protocol, resized

WEIGHTS = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)
"""pytorch-fid's conversion of TensorFlow's graph (Apache-2.0)."""
_SHA256 = "6726825d"  # no more of it was published
_COUNTERS = "*.num_batches_tracked"  # of training; the published file has none

SIDE = 299
RESIZES = ("tf1", "clean", "pytorch-legacy", "tm-antialias")
LAYERS = {
    "2048": 2048,
    "768": 768,
    "192": 192,
    "64": 64,
    "logits_unbiased": 1008,
    "logits": 1008,
    "sfid": 17 * 17 * SFID_CHANNELS,
}
"""How many values each layer has; those named by numbers are means over all places."""


class InceptionExtractor(Extractor):
    """Features of the network of 2015-12-05.

    "64" and "192" come after the early max pools, "768" after Mixed_6e, "2048" before the
    classifier; "logits_unbiased" is the classifier without its bias, as Inception Score has it.
    "sfid" is what Nash et al. (2021) take: the first 7 channels of `mixed_6/conv` after its
    rectifier, which is Mixed_6d.branch1x1, at all 17 x 17 places, the channels of a place together.
    """

    identity = "inception-2015-12-05"

    def __init__(self, network: Inception, resize: str, weights: str) -> None:
        super().__init__()
        self.network = network
        self.resize = resize
        self.weights_id = weights

    @property
    @override
    def layers(self) -> Mapping[str, int]:
        return LAYERS

    @override
    def prepare(self, picture: Tensor) -> Tensor:
        return resized(picture, SIDE, self.resize)

    @override
    def forward(self, prepared: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        self.check_layers(layers)
        found: dict[str, Tensor] = self.network(self._scaled(prepared), layers)
        return found

    def _scaled(self, prepared: Tensor) -> Float[Tensor, "b 3 s s"]:
        values = prepared.float()
        if self.resize == "pytorch-legacy":
            return 2 * (values / 255) - 1
        return (values - 128) / 128


def build(weights: str | Path | None = None, resize: str = "tf1") -> InceptionExtractor:
    """The extractor; `weights` is a local file in the layout of pytorch-fid and torch-fidelity.

    `resize` is one of `RESIZES`: "tf1" as torch-fidelity and the first FID, "clean" as clean-fid,
    "pytorch-legacy" as pytorch-fid, "tm-antialias" as torchmetrics 1.9.
    Raises ConfigError for another resize, WeightsError if the file cannot be had or does not fit.
    """
    check_protocol(resize, RESIZES)
    path = download(WEIGHTS, _SHA256) if weights is None else Path(weights)
    with torch.device("meta"):
        network = Inception()
    network.to_empty(device="cpu").requires_grad_(requires_grad=False).eval()
    load_exact(network, read_state(path), ignore=(_COUNTERS,), where=str(path))
    state = {k: v for k, v in network.state_dict().items() if not k.endswith(_COUNTERS[1:])}
    identifier = weights_id(state)
    network.fuse()
    return InceptionExtractor(network, resize, identifier)
