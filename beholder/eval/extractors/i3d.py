"""I3D, the inflated Inception of FVD and VFID (Carreira & Zisserman, 2017), RGB, Kinetics-400.

Our own body in the key layout of the public PyTorch ports (`Conv3d_1a_7x7.conv3d.weight`, ...,
`logits.conv3d.bias`), and a door for the TorchScript file of StyleGAN-V, which is a program and so
never fetched: it has to be given. What decides an FVD is
less the network than what is done around it; each published way is a protocol:

| protocol | frames to 224 x 224 | batch norm's epsilon | mean over time of |
|---|---|---|---|
| stylegan-v | short side, rounded up, then the square in the middle; bilinear | 1e-3 | 2 places |
| cd-fvd | stretched, bilinear | 1e-5 | 2 places |
| tf | stretched, TensorFlow 1's bilinear | 1e-3 | 2 places |
| vfid | stretched, bilinear with antialias | 1e-3 | 1 place |

All see red, green, blue in [-1, 1]. TensorFlow's network has the epsilon 1e-3; the port that
VideoGPT, TATS and cd-fvd share has 1e-5. "vfid" is this package's definition of FID2vid, for which
vid2vid released no code: what CatV2TON does, but in RGB. The mean over time is one over windows of
so many places, then one over windows, which differs only for clips of 17 frames or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder._published.downloads import download
from beholder._published.weights import Published, fetch, load_exact, read_state, sha256_of
from beholder.errors import ConfigError, WeightsError
from beholder.eval.extractors._base import weights_id
from beholder.eval.extractors._clip_protocol import (
    ClipProtocol,
    VideoExtractor,
    check_frames,
    choose,
)
from beholder.eval.extractors._conv3d import (
    Triple,
    fused,
    max_pool_same,
    pad_same,
    pointwise,
)
from beholder.eval.extractors._torchscript import is_torchscript, load_script

SCRIPT = ("flateon/FVD-I3D-torchscript", "i3d_torchscript.pt")
"""Repository and file of StyleGAN-V's TorchScript, equal to TensorFlow's network; logits only.

A program of which neither commit nor hash is known here: it is run only where a user gives it.
"""
STATE = Published("zhengchong/VFID", "i3d.pt", "main", None)
"""The state dict of CatV2TON; neither commit nor hash is known here, so that it may change."""
TATS = "https://github.com/songweige/TATS/raw/main/tats/fvd/i3d_pretrained_400.pt"
"""The state dict of VideoGPT, TATS and cd-fvd; neither commit nor hash is known here either."""

POOLED = 1024
_COUNTERS = "*.num_batches_tracked"
_MIXED = {
    "Mixed_3b": (192, 64, 96, 128, 16, 32, 32),
    "Mixed_3c": (256, 128, 128, 192, 32, 96, 64),
    "Mixed_4b": (480, 192, 96, 208, 16, 48, 64),
    "Mixed_4c": (512, 160, 112, 224, 24, 64, 64),
    "Mixed_4d": (512, 128, 128, 256, 24, 64, 64),
    "Mixed_4e": (512, 112, 144, 288, 32, 64, 64),
    "Mixed_4f": (528, 256, 160, 320, 32, 128, 128),
    "Mixed_5b": (832, 256, 160, 320, 32, 128, 128),
    "Mixed_5c": (832, 384, 192, 384, 48, 128, 128),
}
"""Channels that come in, and those of b0, b1a, b1b, b2a, b2b, b3b."""
_TRUNK = (
    *("Conv3d_1a_7x7", "pool_2a", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "pool_3a"),
    *("Mixed_3b", "Mixed_3c", "pool_4a"),
    *("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f", "pool_5a"),
    *("Mixed_5b", "Mixed_5c"),
)
_POOLS: dict[str, tuple[Triple, Triple]] = {
    "pool_2a": ((1, 3, 3), (1, 2, 2)),
    "pool_3a": ((1, 3, 3), (1, 2, 2)),
    "pool_4a": ((3, 3, 3), (2, 2, 2)),
    "pool_5a": ((2, 2, 2), (2, 2, 2)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class I3dProtocol(ClipProtocol):
    """What is done around I3D.

    Attributes:
        size: side of the frames.
        published: where the weights of the published numbers are; None if in `SCRIPT`.
        epsilon: of the batch norms.
        window: places in time of one mean before the classifier.
    """

    size: int = 224
    published: Published | str | None = None
    epsilon: float = 1e-3
    window: int = 2


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        I3dProtocol(name="stylegan-v", crop=True),
        I3dProtocol(name="cd-fvd", published=TATS, epsilon=1e-5),
        I3dProtocol(name="tf", resize="tf1"),
        I3dProtocol(name="vfid", published=STATE, resize="tm-antialias", window=1),
    )
}


class Unit(nn.Module):
    """Convolution with "SAME" padding, batch norm by running statistics, rectifier."""

    def __init__(
        self, inputs: int, width: int, kernel: int, stride: int = 1, epsilon: float = 1e-3
    ) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, width, kernel, stride, bias=False)
        self.bn: nn.Module = nn.BatchNorm3d(width, eps=epsilon)
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3

    @override
    def forward(self, values: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d u i j"]:
        if self.kernel == (1, 1, 1):
            return functional.relu_(self.bn(pointwise(values, self.conv3d)))
        padded = pad_same(values, self.kernel, self.stride)
        return functional.relu_(self.bn(self.conv3d(padded)))

    def fuse(self) -> None:
        """Make one convolution of convolution and batch norm."""
        if isinstance(self.bn, nn.BatchNorm3d):
            self.conv3d, self.bn = fused(self.conv3d, self.bn), nn.Identity()


class Mixed(nn.Module):
    """An Inception module: four branches side by side."""

    def __init__(self, widths: Sequence[int], epsilon: float) -> None:
        super().__init__()
        inputs, b0, b1a, b1b, b2a, b2b, b3b = widths
        self.b0 = Unit(inputs, b0, 1, epsilon=epsilon)
        self.b1a = Unit(inputs, b1a, 1, epsilon=epsilon)
        self.b1b = Unit(b1a, b1b, 3, epsilon=epsilon)
        self.b2a = Unit(inputs, b2a, 1, epsilon=epsilon)
        self.b2b = Unit(b2a, b2b, 3, epsilon=epsilon)
        self.b3b = Unit(inputs, b3b, 1, epsilon=epsilon)

    @override
    def forward(self, values: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d t h w"]:
        around = max_pool_same(values, (3, 3, 3), (1, 1, 1))
        branches = (
            self.b0(values),
            self.b1b(self.b1a(values)),
            self.b2b(self.b2a(values)),
            self.b3b(around),
        )
        return torch.cat(branches, dim=1)


class Classifier(nn.Module):
    """The last layer, under the name of the public layout."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(POOLED, classes, 1)


class InceptionI3d(nn.Module):
    """The body of I3D: pixels (b, 3, t, h, w) in [-1, 1] to "pooled" and "logits"."""

    def __init__(self, classes: int = 400, epsilon: float = 1e-3, window: int = 2) -> None:
        super().__init__()
        self.window = window
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2, epsilon=epsilon)
        self.Conv3d_2b_1x1 = Unit(64, 64, 1, epsilon=epsilon)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3, epsilon=epsilon)
        for name, widths in _MIXED.items():
            self.add_module(name, Mixed(widths, epsilon))
        self.logits = Classifier(classes)

    @property
    def least_frames(self) -> int:
        """Of a clip, so that one window is full: three strides of 2 come before it."""
        return 8 * (self.window - 1) + 1

    @override
    def forward(self, pixels: Float[Tensor, "b 3 t h w"]) -> dict[str, Tensor]:
        """The layers "pooled" (b, 1024) and "logits" (b, classes)."""
        values = pixels
        for name in _TRUNK:
            if name in _POOLS:
                values = max_pool_same(values, *_POOLS[name])
            else:
                values = self.get_submodule(name)(values)
        return self.head(values)

    def head(self, values: Float[Tensor, "b 1024 t h w"]) -> dict[str, Tensor]:
        """The layers of what Mixed_5c gives, both means over time.

        At 224 x 224 the mean over places is that of the published 7 x 7 window.
        """
        over_time = values.mean(dim=(3, 4)).unfold(2, self.window, 1).mean(-1)
        pooled = over_time.mean(2)
        last = self.logits.conv3d
        # the classifier is linear: the logits of the mean are the mean of the logits
        logits = functional.linear(pooled, last.weight.flatten(1), last.bias)
        return {"pooled": pooled, "logits": logits}

    def fuse(self) -> None:
        """Make one convolution of each convolution and its batch norm."""
        for module in self.modules():
            if isinstance(module, Unit):
                module.fuse()


class I3dExtractor(VideoExtractor):
    """Features of I3D from a state dict: "logits" as FVD has them, and "pooled" before them."""

    identity = "i3d"

    def __init__(self, network: InceptionI3d, protocol: I3dProtocol, weights: str) -> None:
        classes = network.logits.conv3d.out_channels
        super().__init__(protocol, {"logits": classes, "pooled": POOLED}, weights)
        self.network = network

    @override
    def forward(self, prepared: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Features of clips (b, t, 3, s, s); DataError if they are too short."""
        self.check_layers(layers)
        pixels = self.protocol.volumes(prepared)
        check_frames(pixels.shape[2], self.network.least_frames, self.identity)
        found = self.network(pixels)
        return {layer: found[layer] for layer in layers}


class ScriptedI3d(VideoExtractor):
    """I3D from a TorchScript file of `forward(x, rescale, resize, return_features)`: logits alone.

    The file's own resize and rescale are left off: the protocol has done both. `weights_id` is
    that of the whole file, since it holds code as well.
    """

    identity = "i3d-torchscript"

    def __init__(self, script: torch.jit.ScriptModule, protocol: I3dProtocol, weights: str) -> None:
        super().__init__(protocol, {"logits": 400}, weights)
        self.script = script

    @override
    def forward(self, prepared: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Logits of clips (b, t, 3, s, s); DataError if they are too short."""
        self.check_layers(layers)
        pixels = self.protocol.volumes(prepared)
        check_frames(pixels.shape[2], 9, self.identity)
        logits = self.script(pixels, rescale=False, resize=False, return_features=True)
        return {"logits": logits.flatten(1).float()}


def build(
    weights: str | Path | None = None,
    protocol: str = "stylegan-v",
    size: int | None = None,
    window: int | None = None,
) -> I3dExtractor | ScriptedI3d:
    """I3D by a protocol.

    Args:
        weights: a state dict in the public layout (safetensors or torch), or StyleGAN-V's
            TorchScript file; None fetches the state dict that the protocol's published numbers
            used. Those of "stylegan-v" and "tf" used the TorchScript file, which has to be given.
        protocol: one of `PROTOCOLS`, see the table of this module.
        size: side of the frames; None is 224, as everyone has it.
        window: places in time of one mean before the classifier, 1 or 2; None is the protocol's.

    Raises:
        ConfigError: if an option is unknown or out of range.
        WeightsError: if the file cannot be had or has to be given, is damaged or does not fit.
    """
    chosen = _with_window(choose(PROTOCOLS, protocol, size), window)
    path = _fetched(chosen) if weights is None else Path(weights)
    if is_torchscript(path):
        return _scripted(path, chosen)
    state = {k.removeprefix("module."): v for k, v in read_state(path).items()}
    state = {k: v for k, v in state.items() if not k.endswith(_COUNTERS[1:])}
    classes = state["logits.conv3d.bias"].numel() if "logits.conv3d.bias" in state else 400
    with torch.device("meta"):
        network = InceptionI3d(classes, chosen.epsilon, chosen.window)
    network.to_empty(device="cpu")
    load_exact(network, state, ignore=(_COUNTERS,), where=str(path))
    network.eval().fuse()
    network.requires_grad_(requires_grad=False).to(memory_format=torch.channels_last_3d)
    return I3dExtractor(network, chosen, weights_id(state))


def _with_window(protocol: I3dProtocol, window: int | None) -> I3dProtocol:
    if window is None or window == protocol.window:
        return protocol
    if window not in {1, 2}:
        raise ConfigError(f"window must be 1 or 2, got {window}")
    return replace(protocol, window=window, name=f"{protocol.name}, window {window}")


def _fetched(protocol: I3dProtocol) -> Path:
    published = protocol.published
    if published is None:
        repository, file = SCRIPT
        raise WeightsError(
            f"the I3D of protocol {protocol.name!r} is a program, {file} of huggingface.co/"
            f"{repository}, of which no hash is known: it is not fetched and run unasked; say "
            f"`hf download {repository} {file}` and give weights=FILE, or a state dict"
        )
    path = download(published, None) if isinstance(published, str) else fetch(published)
    if is_torchscript(path):
        raise WeightsError(f"{path} is a program, not weights; give it as weights=FILE to run it")
    return path


def _scripted(path: Path, protocol: I3dProtocol) -> ScriptedI3d:
    if protocol.window != 2:
        raise ConfigError(
            f"protocol {protocol.name!r} needs a state dict, but {path} is TorchScript"
        )
    script = load_script(path)
    taken = [a.name for a in script.forward.schema.arguments]
    missing = [n for n in ("rescale", "resize", "return_features") if n not in taken]
    if missing:
        raise WeightsError(
            f"{path} is TorchScript, but its forward takes no {', '.join(missing)}; I3D's is "
            "forward(x, rescale, resize, return_features)"
        )
    return ScriptedI3d(script, protocol, sha256_of(path)[:16])
