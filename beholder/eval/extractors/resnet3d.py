"""3D ResNet and ResNeXt of Hara et al. (2018), trained on Kinetics-400: FID-vid and VFID.

Our own body in the key layout of kenshohara's `3D-ResNets-PyTorch`. Depth, widths, cardinality and
the kind of shortcut are read from the weights. Two published uses, each a protocol:

| protocol | network | frames are stretched to | values |
|---|---|---|---|
| fid-vid | ResNet-50 | 112 x 112, bicubic with antialias | minus the mean, no deviation |
| vfid | ResNeXt-101 | 224 x 224, bilinear with antialias | in [-1, 1] |

"fid-vid" is what DisCo does, the only code there is of TFGAN's and NUWA's metric. "vfid" is this
package's definition of FID2vid, for which vid2vid released no code: what CatV2TON does, in RGB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder._published.weights import Published, fetch, load_exact, read_state
from beholder.errors import ConfigError, WeightsError
from beholder.eval.extractors._base import weights_id
from beholder.eval.extractors._clip_protocol import ClipProtocol, VideoExtractor, choose
from beholder.eval.extractors._conv3d import fused, pointwise

RESNEXT = Published("zhengchong/VFID", "resnext-101.pth", "main", None)
"""CatV2TON's ResNeXt-101, kenshohara's; neither commit nor hash is known here: it may change."""
PROTOCOLS = {
    "fid-vid": ClipProtocol(
        name="fid-vid",
        size=112,
        resize="clean",
        shift=(114.7748, 107.7354, 99.4750),
        scale=(1.0, 1.0, 1.0),
    ),
    "vfid": ClipProtocol(name="vfid", size=224, resize="tm-antialias"),
}
_USES: dict[str, str] = {"resnet-50": "fid-vid", "resnext-101": "vfid"}
_COUNTERS = "*.num_batches_tracked"
_PLAN = re.compile(r"layer([1-4])\.(\d+)\.conv1\.weight")


@dataclass(frozen=True, slots=True)
class Shape:
    """What the weights say of their network.

    Attributes:
        stem: channels of the first convolution.
        blocks: of each of the four stages.
        inner: channels of the middle convolution, by stage.
        outer: channels that leave a stage.
        groups: of the middle convolution; 1 for a ResNet, the cardinality for a ResNeXt.
        learned: whether shortcuts are convolutions (type B), or strides and zeros (type A).
        classes: of the classifier.
    """

    stem: int
    blocks: tuple[int, ...]
    inner: tuple[int, ...]
    outer: tuple[int, ...]
    groups: int
    learned: bool
    classes: int

    @property
    def identity(self) -> str:
        """The usual name, such as "3d-resnet-50"."""
        kind = "resnet" if self.groups == 1 else "resnext"
        return f"3d-{kind}-{3 * sum(self.blocks) + 2}"


class Bottleneck(nn.Module):
    """Three convolutions around which the values go by a shortcut; the second one strides."""

    def __init__(self, inputs: int, shape: Shape, stage: int, stride: int) -> None:
        super().__init__()
        inner, outer = shape.inner[stage], shape.outer[stage]
        self.conv1 = nn.Conv3d(inputs, inner, 1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm3d(inner)
        self.conv2 = nn.Conv3d(inner, inner, 3, stride, 1, groups=shape.groups, bias=False)
        self.bn2: nn.Module = nn.BatchNorm3d(inner)
        self.conv3 = nn.Conv3d(inner, outer, 1, bias=False)
        self.bn3: nn.Module = nn.BatchNorm3d(outer)
        self.downsample = _shortcut(inputs, outer, stride, learned=shape.learned)

    @override
    def forward(self, values: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d u i j"]:
        inner = functional.relu_(self.bn1(pointwise(values, self.conv1)))
        inner = functional.relu_(self.bn2(self.conv2(inner)))
        inner = self.bn3(pointwise(inner, self.conv3))
        around = values if self.downsample is None else self.downsample(values)
        return functional.relu_(inner + around)

    def fuse(self) -> None:
        """Make one convolution of each convolution and its batch norm."""
        for number in (1, 2, 3):
            _fuse(self, f"conv{number}", f"bn{number}")
        if isinstance(self.downsample, nn.Sequential):
            _fuse(self.downsample, "0", "1")


class Strided(nn.Module):
    """The shortcut of type A: every so many places, and zeros for the new channels."""

    def __init__(self, outputs: int, stride: int) -> None:
        super().__init__()
        self.outputs, self.stride = outputs, stride

    @override
    def forward(self, values: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d u i j"]:
        step = self.stride
        kept = values[:, :, ::step, ::step, ::step]
        return functional.pad(kept, (0, 0) * 3 + (0, self.outputs - kept.shape[1]))


class ResNet3d(nn.Module):
    """The body: pixels (b, 3, t, h, w) to "pooled" and "logits"."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, shape.stem, 7, (1, 2, 2), 3, bias=False)
        self.bn1: nn.Module = nn.BatchNorm3d(shape.stem)
        inputs = shape.stem
        for stage, blocks in enumerate(shape.blocks):
            strides = [1 if stage == 0 else 2] + [1] * (blocks - 1)
            made = []
            for stride in strides:
                made.append(Bottleneck(inputs, shape, stage, stride))
                inputs = shape.outer[stage]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*made))
        self.fc = nn.Linear(inputs, shape.classes)

    @override
    def forward(self, pixels: Float[Tensor, "b 3 t h w"]) -> dict[str, Tensor]:
        """The layers "pooled" (b, d), a mean over time and place, and "logits" (b, classes).

        The published window, ceil(t / 16) by ceil(s / 32), is all that is left of any clip.
        """
        values = functional.relu_(self.bn1(self.conv1(pixels)))
        values = functional.max_pool3d(values, 3, 2, 1)
        for stage in range(1, 5):
            values = self.get_submodule(f"layer{stage}")(values)
        pooled = values.mean(dim=(2, 3, 4))
        return {"pooled": pooled, "logits": self.fc(pooled)}

    def fuse(self) -> None:
        """Make one convolution of each convolution and its batch norm."""
        _fuse(self, "conv1", "bn1")
        for module in self.modules():
            if isinstance(module, Bottleneck):
                module.fuse()


class ResNet3dExtractor(VideoExtractor):
    """Features of a 3D ResNet or ResNeXt: "pooled" before the classifier, and "logits"."""

    def __init__(
        self, network: ResNet3d, shape: Shape, protocol: ClipProtocol, weights: str
    ) -> None:
        super().__init__(protocol, {"pooled": shape.outer[-1], "logits": shape.classes}, weights)
        self.network = network
        self.identity = shape.identity

    @override
    def forward(self, prepared: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        self.check_layers(layers)
        found = self.network(self.protocol.volumes(prepared))
        return {layer: found[layer] for layer in layers}


def build(
    weights: str | Path | None = None,
    model: str = "resnet-50",
    protocol: str | None = None,
    size: int | None = None,
) -> ResNet3dExtractor:
    """A 3D ResNet or ResNeXt by a protocol.

    Args:
        weights: a file of kenshohara's `3D-ResNets-PyTorch`, or a state dict in its layout; None
            fetches CatV2TON's ResNeXt-101. Of the ResNet-50 there is no copy on the hub.
        model: "resnet-50" or "resnext-101": the kind of network that the file has to hold, of any
            depth.
        protocol: one of `PROTOCOLS`, see the table of this module; None is that of the model.
        size: side of the frames; None is the protocol's.

    Raises:
        ConfigError: if an option is unknown or out of range.
        WeightsError: if the file cannot be had, is damaged or does not fit.
    """
    if model not in _USES:
        raise ConfigError(f"model must be one of {', '.join(_USES)}; got {model!r}")
    chosen = choose(PROTOCOLS, protocol or _USES[model], size)
    path = _fetched(model) if weights is None else Path(weights)
    state = {k.removeprefix("module."): v for k, v in read_state(path).items()}
    state = {k: v for k, v in state.items() if not k.endswith(_COUNTERS[1:])}
    shape = shape_of(state, str(path))
    if (shape.groups > 1) != (model == "resnext-101"):
        raise WeightsError(f"{path} holds a {shape.identity}, not a {model}; set model")
    with torch.device("meta"):
        network = ResNet3d(shape)
    network.to_empty(device="cpu")
    load_exact(network, state, ignore=(_COUNTERS,), where=str(path))
    network.eval().fuse()
    network.requires_grad_(requires_grad=False).to(memory_format=torch.channels_last_3d)
    return ResNet3dExtractor(network, shape, chosen, weights_id(state))


def shape_of(state: Mapping[str, Tensor], where: str) -> Shape:
    """The network whose weights these are; WeightsError if they are of no such network."""
    found = [match for key in state if (match := _PLAN.fullmatch(key))]
    blocks = tuple(sum(int(m[1]) == stage for m in found) for stage in range(1, 5))
    try:
        middle = [state[f"layer{stage}.0.conv2.weight"] for stage in range(1, 5)]
        last = [state[f"layer{stage}.0.conv3.weight"] for stage in range(1, 5)]
        return Shape(
            stem=state["conv1.weight"].shape[0],
            blocks=blocks,
            inner=tuple(w.shape[0] for w in middle),
            outer=tuple(w.shape[0] for w in last),
            groups=middle[0].shape[0] // max(1, middle[0].shape[1]),
            learned=any(".downsample." in key for key in state),
            classes=state["fc.weight"].shape[0],
        )
    except (KeyError, IndexError) as error:
        raise WeightsError(
            f"{where} holds no 3D ResNet of bottlenecks: {error} is missing; the layout is "
            "kenshohara's, conv1.weight, layer1.0.conv1.weight, ..., fc.weight"
        ) from error


def _fetched(model: str) -> Path:
    if model == "resnet-50":
        raise WeightsError(
            "the 3D ResNet-50 of FID-vid is on no hub: download resnet-50-kinetics.pth as DisCo's "
            "or kenshohara's README says, and give weights=FILE"
        )
    return fetch(RESNEXT)


def _shortcut(inputs: int, outputs: int, stride: int, *, learned: bool) -> nn.Module | None:
    if stride == 1 and inputs == outputs:
        return None
    if not learned:
        return Strided(outputs, stride)
    return nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))


def _fuse(module: nn.Module, conv: str, norm: str) -> None:
    first, second = module.get_submodule(conv), module.get_submodule(norm)
    if isinstance(first, nn.Conv3d) and isinstance(second, nn.BatchNorm3d):
        setattr(module, conv, fused(first, second))
        setattr(module, norm, nn.Identity())
