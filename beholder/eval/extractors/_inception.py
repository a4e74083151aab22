"""The body of Inception-v3 as TensorFlow's graph of December 2015 has it (Szegedy et al., 2016)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

SFID_CHANNELS = 7
_EPSILON = 1e-3  # of every batch norm

_mean_around = partial(
    functional.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False
)
_most_around = partial(functional.max_pool2d, kernel_size=3, stride=1, padding=1)
_half_as_large = partial(functional.max_pool2d, kernel_size=3, stride=2)


@dataclass(frozen=True, slots=True)
class Step:
    """A convolution, by the name of its weights; one of stride 1 keeps height and width."""

    name: str
    width: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Branch:
    """Convolutions one after another, then those of `fork` side by side; a pool before them."""

    steps: Sequence[Step]
    fork: Sequence[Step] = ()
    pool: Callable[..., Tensor] | None = None


class Convolution(nn.Module):
    """Convolution, batch norm by running statistics, rectifier."""

    def __init__(
        self,
        inputs: int,
        width: int,
        kernel: tuple[int, int],
        stride: int = 1,
        padding: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, width, kernel, stride, padding, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(width, eps=_EPSILON)

    def forward(self, values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d s t"]:
        return functional.relu(self.bn(self.conv(values)), inplace=True)

    def fuse(self) -> None:
        """Put the batch norm into the convolution, by float64 so that nothing is rounded twice."""
        conv, norm = self.conv, cast("nn.BatchNorm2d", self.bn)
        running = (cast("Tensor", value) for value in (norm.running_mean, norm.running_var))
        mean, variance, scale, shift = (v.double() for v in (*running, norm.weight, norm.bias))
        weight, bias = fuse_conv_bn_weights(
            conv.weight.double(), None, mean, variance, norm.eps, scale, shift
        )
        conv.weight, conv.bias = (nn.Parameter(v.detach().float()) for v in (weight, bias))
        self.bn = nn.Identity()


class Mixed(nn.Module):
    """Branches whose outputs lie side by side."""

    def __init__(self, inputs: int, branches: Sequence[Branch]) -> None:
        super().__init__()
        self.branches = branches
        for branch in branches:
            width = inputs
            for step in branch.steps:
                self.add_module(step.name, _convolution(width, step))
                width = step.width
            for step in branch.fork:
                self.add_module(step.name, _convolution(width, step))

    def forward(self, values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d s t"]:
        return torch.cat([o for branch in self.branches for o in self._run(branch, values)], dim=1)

    def _run(self, branch: Branch, values: Tensor) -> Iterable[Tensor]:
        values = branch.pool(values) if branch.pool else values
        for step in branch.steps:
            values = self.get_submodule(step.name)(values)
        return [self.get_submodule(s.name)(values) for s in branch.fork] or [values]


class Inception(nn.Module):
    """The graph from pixels to the logits of 1,008 classes, under torchvision's names."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, (3, 3), stride=2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, (3, 3))
        self.Conv2d_2b_3x3 = Convolution(32, 64, (3, 3), padding=(1, 1))
        self.Conv2d_3b_1x1 = Convolution(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = Convolution(80, 192, (3, 3))
        self.pool = nn.MaxPool2d(3, stride=2)
        width = 192
        for name, branches in _MIXED.items():
            self.add_module(name, Mixed(width, branches))
            width = sum(_width(branch, width) for branch in branches)
        self.fc = nn.Linear(width, 1008)

    def forward(
        self, pixels: Float[Tensor, "b 3 299 299"], layers: Sequence[str]
    ) -> dict[str, Tensor]:
        """The layers asked for, (b, d) each; what lies behind the last of them is not computed."""
        values = pixels.contiguous(memory_format=torch.channels_last)
        missing = set(layers)
        found: dict[str, Tensor] = {}
        for parts, readable in _STAGES:
            for part in parts:
                values = self.get_submodule(part)(values)
            found |= {layer: self._read(layer, values) for layer in missing & readable}
            missing -= readable
            if not missing:
                break
        return {layer: found[layer] for layer in layers}

    def fuse(self) -> None:
        """Put every batch norm into its convolution and lay the weights out channels last."""
        for module in self.modules():
            if isinstance(module, Convolution):
                module.fuse()
        self.to(memory_format=torch.channels_last)

    def _read(self, layer: str, values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        if layer == "sfid":
            values = self.get_submodule("Mixed_6d.branch1x1")(values)[:, :SFID_CHANNELS]
            return values.permute(0, 2, 3, 1).flatten(1)
        pooled = values.mean(dim=(2, 3))
        if layer.startswith("logits"):
            bias = self.fc.bias if layer == "logits" else None
            return functional.linear(pooled, self.fc.weight, bias)
        return pooled


def _convolution(inputs: int, step: Step) -> Convolution:
    height, width = step.kernel
    same = (height // 2, width // 2) if step.stride == 1 else (0, 0)
    return Convolution(inputs, step.width, step.kernel, step.stride, same)


def _width(branch: Branch, inputs: int) -> int:
    last = branch.fork or branch.steps[-1:]
    return sum(step.width for step in last) if last else inputs


def _chain(
    name: str,
    *shapes: tuple[int, int, int],
    stride: int = 1,
    pool: Callable[..., Tensor] | None = None,
) -> Branch:
    """Steps `name_1`, `name_2` … of (width, height, width of kernel); the last has the stride."""
    names = [name] if len(shapes) == 1 else [f"{name}_{n + 1}" for n in range(len(shapes))]
    strides = [1] * (len(shapes) - 1) + [stride]
    steps = [
        Step(name, width, (height, across), stride)
        for name, (width, height, across), stride in zip(names, shapes, strides, strict=True)
    ]
    return Branch(steps, pool=pool)


def _at_35(pooled: int) -> list[Branch]:
    return [
        _chain("branch1x1", (64, 1, 1)),
        _chain("branch5x5", (48, 1, 1), (64, 5, 5)),
        _chain("branch3x3dbl", (64, 1, 1), (96, 3, 3), (96, 3, 3)),
        _chain("branch_pool", (pooled, 1, 1), pool=_mean_around),
    ]


def _at_17(inner: int) -> list[Branch]:
    down, across = (inner, 7, 1), (inner, 1, 7)
    return [
        _chain("branch1x1", (192, 1, 1)),
        _chain("branch7x7", (inner, 1, 1), across, (192, 7, 1)),
        _chain("branch7x7dbl", (inner, 1, 1), down, across, down, (192, 1, 7)),
        _chain("branch_pool", (192, 1, 1), pool=_mean_around),
    ]


def _at_8(pool: Callable[..., Tensor]) -> list[Branch]:
    def fork(name: str) -> list[Step]:
        return [Step(f"{name}a", 384, (1, 3)), Step(f"{name}b", 384, (3, 1))]

    triple = [Step("branch3x3dbl_1", 448), Step("branch3x3dbl_2", 384, (3, 3))]
    return [
        _chain("branch1x1", (320, 1, 1)),
        Branch([Step("branch3x3_1", 384)], fork("branch3x3_2")),
        Branch(triple, fork("branch3x3dbl_3")),
        _chain("branch_pool", (192, 1, 1), pool=pool),
    ]


_MIXED: dict[str, list[Branch]] = {
    "Mixed_5b": _at_35(32),
    "Mixed_5c": _at_35(64),
    "Mixed_5d": _at_35(64),
    "Mixed_6a": [
        _chain("branch3x3", (384, 3, 3), stride=2),
        _chain("branch3x3dbl", (64, 1, 1), (96, 3, 3), (96, 3, 3), stride=2),
        Branch([], pool=_half_as_large),
    ],
    "Mixed_6b": _at_17(128),
    "Mixed_6c": _at_17(160),
    "Mixed_6d": _at_17(160),
    "Mixed_6e": _at_17(192),
    "Mixed_7a": [
        _chain("branch3x3", (192, 1, 1), (320, 3, 3), stride=2),
        _chain("branch7x7x3", (192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3), stride=2),
        Branch([], pool=_half_as_large),
    ],
    "Mixed_7b": _at_8(_mean_around),
    "Mixed_7c": _at_8(_most_around),  # as in the graph, which looks like a slip of its authors
}

_STAGES: tuple[tuple[tuple[str, ...], frozenset[str]], ...] = (
    (("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "pool"), frozenset({"64"})),
    (("Conv2d_3b_1x1", "Conv2d_4a_3x3", "pool"), frozenset({"192"})),
    (
        ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c"),
        frozenset({"sfid"}),  # read by a convolution of the next block
    ),
    (("Mixed_6d", "Mixed_6e"), frozenset({"768"})),
    (("Mixed_7a", "Mixed_7b", "Mixed_7c"), frozenset({"2048", "logits_unbiased", "logits"})),
)
"""Parts in the order in which they run, and the layers that can be read after them."""
