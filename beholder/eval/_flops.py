"""Floating-point operations of a call, counted while it really runs.

torch's `FlopCounterMode` counts matrix products, convolutions and fused attention from their
shapes, with two operations a multiply-add; what goes over elements one by one (activations, norms,
softmax, pooling, resizing, copies) counts nothing, by convention. Some kernels that it does not
know are counted here too, and what neither knows is told instead of passing as free.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker
from typing_extensions import override

Shape = Sequence[int]

ELSEWHERE = "elsewhere"
"""Where operations go that run in no named part."""
_WORK = re.compile(
    r"mm|mv$|mv_|dot$|matmul|conv(?!ert)|rnn|lstm|gru|attention|linalg(?!_vector_norm)|fft|cdist|trilinear$|einsum"
    r"|(?<!upsample_)(?<!upsample_bi)(?<!upsample_tri)linear|encoder_layer|cholesky|qr$|inverse|solve"
)
_OURS = {"aten", "prims", "prim", "profiler", "c10d_functional", "_c10d_functional"}


@dataclass(frozen=True, slots=True)
class Uncounted:
    """An operation that ran and for which there is no formula, so that it counts nothing.

    Attributes:
        op: its name, such as "aten.mkldnn_rnn_layer".
        calls: how often it ran.
        modules: the innermost modules that ran it, such as "Net.rnn"; "" outside of all.
    """

    op: str
    calls: int
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartFlops:
    """What one part of a call did.

    Attributes:
        calls: of its own `forward`; 0 if only modules inside it were called.
        flops: of everything inside it.
    """

    calls: int
    flops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flops:
    """Floating-point operations of a call.

    Attributes:
        total: two a multiply-add.
        by_op: operation -> its share of the total.
        parts: name -> what ran inside it; the flops sum to the total.
        uncounted: what may have worked and counts nothing.
    """

    total: int
    by_op: Mapping[str, int]
    parts: Mapping[str, PartFlops]
    uncounted: tuple[Uncounted, ...]

    @property
    def macs(self) -> int:
        """Multiply-adds: half of the operations."""
        return self.total // 2

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values, with the multiply-adds."""
        return {"macs": self.macs, **asdict(self)}


def count_flops(call: Callable[[], object], parts: Mapping[str, nn.Module] | None = None) -> Flops:
    """Run a call once and count its floating-point operations, in any mode, on any device.

    On the "meta" device nothing is computed and the count is the same. Modules that torch fuses
    while it does not train (`nn.MultiheadAttention`, `nn.TransformerEncoderLayer`) are run
    unfused. Kernels that are launched past torch's dispatcher cannot be seen.

    Args:
        call: runs what is counted; gradients count if it takes them.
        parts: modules by the name under which what runs inside them is told; one inside another
            counts for itself alone, the rest is told under `ELSEWHERE`.
    """
    counter = FlopCounterMode(display=False, custom_mapping=_formulas())
    unknown = _Unknown(counter)
    with ExitStack() as stack:
        stack.enter_context(_unfused())
        stack.enter_context(unknown)  # first, so that it sees what the counter could not take apart
        stack.enter_context(counter)
        told = stack.enter_context(_attributed(counter, parts or {}))
        call()
    by_op = {
        str(op): int(flops) for op, flops in counter.get_flop_counts().get("Global", {}).items()
    }
    return Flops(
        total=sum(by_op.values()),
        by_op=dict(sorted(by_op.items(), key=lambda pair: -pair[1])),
        parts=told,
        uncounted=unknown.found(),
    )


class _Unknown(TorchDispatchMode):
    """Notes the operations whose name says that they work, but that have no formula."""

    supports_higher_order_operators = True

    def __init__(self, counter: FlopCounterMode) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known = counter.flop_registry
        self._tracker = ModuleTracker()
        self._calls: Counter[str] = Counter()
        self._modules: defaultdict[str, set[str]] = defaultdict(set)

    @override
    def __enter__(self) -> _Unknown:
        self._tracker.__enter__()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    @override
    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
        self._tracker.__exit__(*raised)

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = getattr(func, "_overloadpacket", func)
        if packet not in self._known and _may_work(func):
            name = str(packet)
            self._calls[name] += 1
            self._modules[name].add(max(self._tracker.parents - {"Global"}, key=len, default=""))
        return func(*args, **(kwargs or {}))

    def found(self) -> tuple[Uncounted, ...]:
        return tuple(
            Uncounted(op, calls, tuple(sorted(self._modules[op])))
            for op, calls in self._calls.most_common()
        )


def _may_work(op: Any) -> bool:
    """Whether an operation may do more than go over its elements."""
    if torch.Tag.pointwise in getattr(op, "tags", ()):
        return False
    if getattr(op, "namespace", "") not in _OURS:
        return True
    return _WORK.search(op.__name__.partition(".")[0]) is not None


@contextmanager
def _unfused() -> Iterator[None]:
    """Multi-head attention runs as its products, which have formulas."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


@contextmanager
def _attributed(
    counter: FlopCounterMode, parts: Mapping[str, nn.Module]
) -> Iterator[dict[str, PartFlops]]:
    """A dict that holds, on leaving, what ran inside each part."""
    ledger = _Ledger(counter)
    found: dict[str, PartFlops] = {}
    handles = [
        handle
        for module, name in _owners(parts).items()
        for handle in (
            module.register_forward_pre_hook(ledger.entering(name)),
            module.register_forward_hook(ledger.left, always_call=True),
        )
    ]
    calls: Counter[str] = Counter()
    handles += [
        part.register_forward_pre_hook(lambda *_, name=name: calls.update([name]))
        for name, part in parts.items()
    ]
    try:
        yield found
        ledger.close()
    finally:
        for handle in handles:
            handle.remove()
    names = [*parts, *([ELSEWHERE] if parts and ledger.flops[ELSEWHERE] else [])]
    found |= {name: PartFlops(calls[name], ledger.flops[name]) for name in names}


def _owners(parts: Mapping[str, nn.Module]) -> dict[nn.Module, str]:
    """Every module inside a part, with the name of the innermost part that holds it.

    Parts are entered by their inner modules too: `vae.decode` never calls the VAE itself.
    """
    outer_first = sorted(parts, key=lambda name: -sum(1 for _ in parts[name].modules()))
    return {
        module: name
        for name in outer_first
        for module in parts[name].modules()
        if not isinstance(module, torch.jit.ScriptModule)  # takes no hooks
    }


class _Ledger:
    """Books what the counter has counted since the last change of part."""

    def __init__(self, counter: FlopCounterMode) -> None:
        self.flops: Counter[str] = Counter()
        self._counter = counter
        self._open = [ELSEWHERE]
        self._booked = 0

    def entering(self, name: str) -> Callable[..., None]:
        def enter(*_: object) -> None:
            if name != self._open[-1]:  # reading the counter takes time, and layers are many
                self._book(self._open[-1])
            self._open.append(name)

        return enter

    def left(self, *_: object) -> None:
        inner = self._open.pop()
        if inner != self._open[-1]:
            self._book(inner)

    def close(self) -> None:
        self._book(ELSEWHERE)

    def _book(self, name: str) -> None:
        counted = self._counter.get_total_flops()
        self.flops[name] += counted - self._booked
        self._booked = counted


def _formulas() -> dict[Any, Callable[..., int]]:
    """Formulas for kernels that torch's counter lacks, in some versions or in all."""
    formulas: dict[str, Callable[..., int]] = {
        "_scaled_dot_product_flash_attention_for_cpu": _attention,
        "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
        "_scaled_dot_product_fused_attention_overrideable": _attention,
        "_scaled_dot_product_fused_attention_overrideable_backward": _attention_backward,
        "_scaled_dot_product_attention_math_for_mps": _attention,
        "_addmm_activation": lambda _, a, b, *__, **___: _product(a, b),
        "_int_mm": lambda a, b, *_, **__: _product(a, b),
        "mv": lambda a, _, *__, **___: 2 * math.prod(a),
        "addmv": lambda _, a, *__, **___: 2 * math.prod(a),
        "dot": lambda a, *_, **__: 2 * math.prod(a),
        "_euclidean_dist": _distances,
    }
    return {
        getattr(torch.ops.aten, name): formula
        for name, formula in formulas.items()
        if hasattr(torch.ops.aten, name)
    }


def _product(a: Shape, b: Shape) -> int:
    """(m, k) by (k, n)."""
    return 2 * math.prod(a) * b[-1]


def _distances(a: Shape, b: Shape, *_: object, **__: object) -> int:
    """(…, n, d) and (…, m, d) by one product, of rows that squares and ones lengthen by 2."""
    return 2 * math.prod(a[:-1]) * b[-2] * (a[-1] + 2)


def _attention(query: Shape, key: Shape, value: Shape, *_: object, **__: object) -> int:
    """Q Kᵀ and its product with V; a causal mask saves nothing, by convention."""
    return 2 * math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _attention_backward(
    grad: Shape, query: Shape, key: Shape, value: Shape, *_: object, **__: object
) -> int:
    """Q Kᵀ again, the gradients of V and of the weights, those of Q and K."""
    return 2 * math.prod(query[:-1]) * key[-2] * (3 * query[-1] + 2 * value[-1])
