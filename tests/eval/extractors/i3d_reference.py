"""I3D in plain functional calls, on random weights."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from beholder.eval.extractors.i3d import InceptionI3d


def random_state(classes: int = 400, seed: int = 0) -> dict[str, Tensor]:
    """Weights of a scale at which the signal lives through all layers."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        empty = InceptionI3d(classes).state_dict()
    state = {}
    for name, value in empty.items():
        if name.endswith("conv3d.weight"):
            deviation = math.sqrt(2 / math.prod(value.shape[1:]))
            state[name] = torch.randn(value.shape, generator=generator) * deviation
        elif name.endswith(("bn.weight", "running_var")):
            state[name] = torch.rand(value.shape, generator=generator) + 0.5
        elif name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(3)
        else:
            state[name] = torch.randn(value.shape, generator=generator) * 0.1
    return state


def clips(count: int, frames: int, height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, frames, 3, height, width)
    return torch.randint(0, 256, shape, generator=generator).to(torch.uint8)


def padded(values: Tensor, kernel: list[int], stride: list[int], filling: float) -> Tensor:
    """TensorFlow's "SAME", axis after axis, in the words of its documentation."""
    for axis, (k, s) in enumerate(zip(kernel, stride, strict=True), start=2):
        size = values.shape[axis]
        along = max(k - s, 0) if size % s == 0 else max(k - size % s, 0)
        for zeros, at_end in ((along // 2, False), (along - along // 2, True)):
            shape = list(values.shape)
            shape[axis] = zeros
            more = values.new_full(shape, filling)
            values = torch.cat((values, more) if at_end else (more, values), dim=axis)
    return values


class Reference:
    """I3D in plain functional calls on a state dict, every layer's output kept by its name."""

    def __init__(self, state: Mapping[str, Tensor], epsilon: float, dtype: torch.dtype) -> None:
        self.state = {k: v.to(dtype) for k, v in state.items()}
        self.epsilon = epsilon
        self.outputs: dict[str, Tensor] = {}

    def unit(self, name: str, values: Tensor, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.conv3d.weight"]
        values = padded(values, list(weight.shape[2:]), [stride] * 3, 0.0)
        values = functional.conv3d(values, weight, stride=stride)
        mean, variance, gain, offset = (
            self.state[f"{name}.bn.{k}"][:, None, None, None]
            for k in ("running_mean", "running_var", "weight", "bias")
        )
        values = (values - mean) / (variance + self.epsilon).sqrt() * gain + offset
        self.outputs[name] = values.clamp(min=0)
        return self.outputs[name]

    def pool(self, values: Tensor, kernel: list[int], stride: list[int]) -> Tensor:
        return functional.max_pool3d(padded(values, kernel, stride, -math.inf), kernel, stride)

    def mixed(self, name: str, values: Tensor) -> Tensor:
        one = self.unit(f"{name}.b0", values)
        two = self.unit(f"{name}.b1b", self.unit(f"{name}.b1a", values))
        three = self.unit(f"{name}.b2b", self.unit(f"{name}.b2a", values))
        four = self.unit(f"{name}.b3b", self.pool(values, [3, 3, 3], [1, 1, 1]))
        self.outputs[name] = torch.cat((one, two, three, four), dim=1)
        return self.outputs[name]

    def trunk(self, pixels: Tensor) -> Tensor:
        values = self.unit("Conv3d_1a_7x7", pixels, 2)
        values = self.pool(values, [1, 3, 3], [1, 2, 2])
        values = self.unit("Conv3d_2c_3x3", self.unit("Conv3d_2b_1x1", values))
        values = self.pool(values, [1, 3, 3], [1, 2, 2])
        values = self.mixed("Mixed_3c", self.mixed("Mixed_3b", values))
        values = self.pool(values, [3, 3, 3], [2, 2, 2])
        for name in ("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"):
            values = self.mixed(name, values)
        values = self.pool(values, [2, 2, 2], [2, 2, 2])
        return self.mixed("Mixed_5c", self.mixed("Mixed_5b", values))

    def head(self, values: Tensor, window: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        """Pooled features and logits, each a mean over time of what the window leaves."""
        pooled = functional.avg_pool3d(values, window, stride=1)
        logits = functional.conv3d(
            pooled, self.state["logits.conv3d.weight"], self.state["logits.conv3d.bias"]
        )
        return pooled.mean(2).flatten(1), logits.mean(2).flatten(1)
