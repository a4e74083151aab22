"""Activation checkpointing: what blocks compute is computed again instead of kept.

A transformer block of width d holds about 20 d numbers a token until the backward pass, and spends
nearly all its time on products with weights. More than half of what it holds, norms, activations
and attention, costs next to nothing to make anew; a number of a product costs as many operations
as it sums terms. So products are made anew from the cheapest on, up to a third of their operations,
which adds a ninth to a step (forward and backward pass take three times the operations of the
forward pass); the dearer ones are kept. Of a ViT's block these are the first of the feed-forward
part, 4 d numbers, while the projections around the attention are made anew. A low-rank update is
made anew first. The rule counts operations and knows no names, so it holds for any library's block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from typing_extensions import override

from beholder.rewards import Reward
from beholder.training.towers.freezing import tower_blocks, tower_weights

_aten = torch.ops.aten
_WEIGHT = {_aten.mm: 1, _aten.addmm: 2, _aten.convolution: 1}
"""Products with weights, and the argument that is the weight."""
_SUMS = {_aten.add, _aten.view, _aten._unsafe_view, _aten.t, _aten.transpose, _aten.permute}
"""What asks for no value of its input in the backward pass."""
_SHARE = 3
"""One part in so many of the operations is made anew."""


def checkpoint_towers(reward: Reward) -> None:
    """`checkpoint_blocks` of every tower and of the head's lists of blocks, until `plain_blocks`.

    A head counts as well: a cross model has a row for each condition, k times those of a tower.
    The last block of each stays: what it computes is what the backward pass needs first, so that
    nothing would be free when memory is short; and a tower may run a part of it alone.
    Raises ConfigError if the reward has no towers.
    """
    towers = tower_weights(reward)
    for tower in towers:
        checkpoint_blocks(map(reward.get_submodule, tower_blocks(reward, tower)[:-1]))
    for blocks in _head_stacks(reward, set().union(*towers)):
        checkpoint_blocks(blocks[:-1])


def checkpoint_blocks(blocks: Iterable[nn.Module]) -> None:
    """Let each block keep its input and dearest products instead of all, until `plain_blocks`.

    The backward pass runs a block once more with the same random numbers and precision, and takes
    the products that were kept from memory: loss and gradients stay what they are, to the bit on
    a CPU (Chen et al., 2016; the choice of what to keep is the module's). No module is wrapped or
    renamed, so names of weights, adapters put into a block and hooks on it stay. A block with batch
    norm is left as it is, as running twice would count a batch twice.
    """
    for block in blocks:
        counts = any(isinstance(part, _BatchNorm) for part in block.modules())
        if "forward" not in vars(block) and not counts:
            # Not a closure: the copy of a block must run itself, not the block it was copied from.
            vars(block)["forward"] = partial(_recomputed, block.forward)


def plain_blocks(module: nn.Module) -> None:
    """Undo `checkpoint_blocks` in a module and all its parts."""
    for part in module.modules():
        forward = vars(part).get("forward")
        if isinstance(forward, partial) and forward.func is _recomputed:
            del vars(part)["forward"]


def _head_stacks(reward: nn.Module, towers: set[str]) -> Iterator[list[nn.Module]]:
    """The outermost lists of blocks outside the towers; lists of lists are one."""
    inside: set[nn.Module] = set()
    for name, module in reward.named_modules():
        weights = {f"{name}.{weight}" for weight, _ in module.named_parameters()}
        if isinstance(module, nn.ModuleList) and weights and not weights & towers:
            if module not in inside:
                yield [block for block in _flat(module) if any(block.children())]
            inside |= set(module.modules())


def _flat(stack: nn.ModuleList) -> Iterator[nn.Module]:
    for block in stack:
        if isinstance(block, nn.ModuleList):
            yield from _flat(block)
        else:
            yield block


def _recomputed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, context_fn=_first_and_again, **kwargs)


def _first_and_again() -> tuple[_Keeping, _Reusing]:
    kept: dict[int, Tensor] = {}
    return _Keeping(kept), _Reusing(kept)


class _Keeping(TorchDispatchMode):
    """Keeps the products of a run by their number, at its end the dearer ones alone."""

    def __init__(self, kept: dict[int, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._kept = kept
        self._terms: list[int] = []
        self._operations: list[int] = []
        self._is_last_needed = True

    @override
    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in _WEIGHT:
            self._keep(out, _terms(args[_WEIGHT[func.overloadpacket]], func))
        elif func.overloadpacket not in _SUMS:
            self._is_last_needed = True
        if func._schema.is_mutable:
            self._forget(args)
        return out

    @override
    def __exit__(self, *raised: object) -> None:
        if not self._is_last_needed:  # the backward pass stops before it would make it
            self._kept.pop(len(self._terms) - 1, None)
        left = sum(self._operations) // _SHARE
        for number in sorted(self._kept, key=lambda number: self._terms[number]):
            if self._operations[number] <= left:
                left -= self._operations[number]
                del self._kept[number]
        super().__exit__(*raised)  # type: ignore[no-untyped-call]

    def _keep(self, product: Tensor, terms: int) -> None:
        self._kept[len(self._terms)] = product.detach()
        self._terms.append(terms)
        self._operations.append(terms * product.numel())
        self._is_last_needed = False

    def _forget(self, written: Sequence[Any]) -> None:
        """Products that were written into are no longer what they were."""
        places = {one.untyped_storage().data_ptr() for one in written if isinstance(one, Tensor)}
        for number, product in list(self._kept.items()):
            if product.untyped_storage().data_ptr() in places:
                del self._kept[number]


class _Reusing(TorchDispatchMode):
    """Gives the products that were kept, each once, and lets all else be computed."""

    def __init__(self, kept: dict[int, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._kept = kept
        self._count = 0

    @override
    def __enter__(self) -> _Reusing:
        self._count = 0
        return cast("_Reusing", super().__enter__())  # type: ignore[no-untyped-call]

    @override
    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func.overloadpacket in _WEIGHT:
            self._count += 1
            product = self._kept.pop(self._count - 1, None)
            if product is not None:
                return product
        return func(*args, **(kwargs or {}))


def _terms(weight: Tensor, func: Any) -> int:
    """How many terms each number of a product with this weight sums."""
    outs = weight.shape[0] if func.overloadpacket is _aten.convolution else weight.shape[-1]
    return weight.numel() // max(outs, 1)
