"""Convolutional nets as they are fastest to run while nobody trains them."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from beholder.rewards._frozen import Fingerprint, fingerprint, is_frozen

_PROBE_SIDE = 64
_NEAR = 1e-4


class Folded:
    """A twin of a convolutional net whose batch norms are folded into the convolutions before them.

    The twin is laid out channels last. It is made when a frozen net is asked for and made anew
    when the weights change; it stands in only if a probe comes out of both alike.
    """

    def __init__(self) -> None:
        self._of: Fingerprint | None = None
        self._twin: nn.Module | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> Folded:
        return Folded()

    def of(self, net: Any) -> Any:
        """The twin of a frozen net; the net itself while it learns or if it cannot be folded."""
        if not is_frozen(net):
            return net
        state = fingerprint(net)
        if state != self._of:
            self._of, self._twin = state, folded(net)
        return net if self._twin is None else self._twin


@torch.inference_mode(mode=False)  # what is made there could never pass a gradient on
@torch.no_grad()
def folded(net: Any) -> Any:
    """A copy with batch norms folded away, in eval mode; None if the net has none to fold."""
    if not any(isinstance(module, nn.BatchNorm2d) for module in net.modules()):
        return None
    twin = copy.deepcopy(net).requires_grad_(requires_grad=False)
    before: nn.Conv2d | None = None
    for name, module in list(twin.named_modules()):
        if isinstance(module, nn.Conv2d):
            before = module
        elif isinstance(module, nn.BatchNorm2d):
            if before is None or before.out_channels != module.num_features:
                return None
            _fold(before, module)
            _replace(twin, name, _behind(module))
            before = None
    twin = twin.to(memory_format=torch.channels_last)
    return twin if _alike(net, twin) else None


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, mean, variance, norm.eps, norm.weight, norm.bias
    )


def _behind(norm: nn.BatchNorm2d) -> nn.Module:
    """What timm's norms do besides: an activation."""
    return nn.Sequential(*(part for _, part in norm.named_children()))


def _replace(net: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, module)


def _alike(net: Any, twin: Any) -> bool:
    """Whether the norms followed the convolutions as their order suggests: a probe tells."""
    like = next(net.parameters())
    if like.device.type == "meta":
        return False
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(2, 3, _PROBE_SIDE, _PROBE_SIDE, generator=generator).to(like)
    ours, theirs = twin.forward_features(probe), net.forward_features(probe)
    if like.dtype.itemsize < 4:  # half precision rounds more than folding does
        return bool(((ours - theirs).abs().amax() <= 0.1 * theirs.abs().amax()).item())
    return bool(((ours - theirs).abs().amax() <= _NEAR * theirs.abs().amax()).item())
