"""What a network costs: parameters, operations, time and memory.

Counts are facts about the network and compare between papers; seconds, bytes and pictures a second
are facts about one run, and stand beside the machine that it ran on.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from beholder.errors import ConfigError, DataError
from beholder.eval._flops import Flops, Uncounted
from beholder.eval._flops import count_flops as count_flops
from beholder.eval._parameters import Parameters
from beholder.eval._parameters import count_parameters as count_parameters
from beholder.eval._runtime import Memory, Runtime
from beholder.eval._runtime import measure_runtime as measure_runtime
from beholder.eval._runtime import peak_memory as peak_memory

_PACKAGES = ("torch", "torchvision", "timm", "transformers", "diffusers", "open_clip_torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartCost:
    """What one part of a call costs.

    Attributes:
        parameters: of the part by itself.
        calls: of its own forward pass; 0 if only modules inside it were called.
        flops: of everything inside it, over all calls.
    """

    parameters: Parameters
    calls: int
    flops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a call of a network costs.

    Attributes:
        parameters: of all parts together.
        flops: counted in one call.
        parts: name -> its own share; a network by itself is one, under the name of its class.
        pictures: how many one call takes or makes, for the rates.
        runtime: None if no time was asked for.
        memory: of one call; None as the runtime.
        protocol: what decides the figures: inputs, dtype, device, threads, gradients.
        machine: what the times were measured on.
        versions: of Python and the packages that ran.
    """

    parameters: Parameters
    flops: Flops
    parts: Mapping[str, PartCost]
    pictures: int
    runtime: Runtime | None
    memory: Memory | None
    protocol: Mapping[str, object]
    machine: Mapping[str, object]
    versions: Mapping[str, str]

    @property
    def pictures_per_second(self) -> float | None:
        """By the median time; None if none was measured."""
        return None if self.runtime is None else self.pictures / self.runtime.median

    @property
    def uncounted(self) -> tuple[Uncounted, ...]:
        """What ran without a formula: where there is any, the operations are too few."""
        return self.flops.uncounted

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values, with the derived figures."""
        return {
            **asdict(self),
            "flops": self.flops.as_dict(),
            "pictures_per_second": self.pictures_per_second,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How a call is timed.

    Attributes:
        repeats: calls that count; 0 measures neither time nor memory.
        warm_up: calls before them.
    """

    repeats: int = 20
    warm_up: int = 3

    def __post_init__(self) -> None:
        for name in ("repeats", "warm_up"):
            if (value := getattr(self, name)) < 0:
                raise ConfigError(f"{name} must be 0 or more, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Something that runs, and what it is made of.

    Attributes:
        run: the call.
        parts: the networks that it uses, by name.
        pictures: how many one call takes or makes.
        device: where it computes.
        protocol: what else decides its figures, such as the shapes of its inputs.
    """

    run: Callable[[], object]
    parts: Mapping[str, nn.Module]
    pictures: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    protocol: Mapping[str, object] = field(default_factory=dict)


def cost(
    module: nn.Module,
    inputs: Sequence[Tensor] | Mapping[str, Tensor],
    *,
    backward: bool = False,
    timing: Timing = Timing(),
) -> Cost:
    """What one forward pass costs, in eval mode; the module is left as it was.

    Args:
        module: on the device of the inputs; on "meta" operations are counted, but nothing is timed.
        inputs: of its forward pass, by position or by name; the first axis of the first one is
            the batch, whose size gives the pictures a second.
        backward: with the gradients of everything trainable; none are kept.
        timing: how often it is run.

    Raises:
        DataError: if there are no inputs, or nothing trainable to go `backward` to.
        ConfigError: if the inputs lie on another device than the module.
    """
    named = dict(inputs) if isinstance(inputs, Mapping) else dict(enumerate(inputs))
    device = _device(module, list(named.values()))
    run = _trained(module, inputs) if backward else _forward(module, inputs)
    protocol = {
        "inputs": {str(name): f"{_shape(value)} {_dtype(value)}" for name, value in named.items()},
        "dtype": _dtypes(module),
        "backward": backward,
    }
    first = next(iter(named.values()))
    pictures = len(first) if first.ndim else 1
    parts = {type(module).__name__: module}
    with _evaluating(module):
        return cost_of_call(
            Call(run=run, parts=parts, pictures=pictures, device=device, protocol=protocol), timing
        )


def cost_of_call(call: Call, timing: Timing = Timing()) -> Cost:
    """What any call costs; it is run once for its operations, once for memory, and to be timed.

    Parts that are the same module are one. Raises ConfigError if the timing does not fit.
    """
    flops = count_flops(call.run, call.parts)
    timed = timing.repeats > 0 and call.device.type != "meta"
    runtime = measure_runtime(call.run, device=call.device, **asdict(timing)) if timed else None
    return Cost(
        parameters=count_parameters(*call.parts.values()),
        flops=flops,
        parts={
            name: PartCost(
                parameters=count_parameters(part),
                calls=flops.parts[name].calls,
                flops=flops.parts[name].flops,
            )
            for name, part in call.parts.items()
        },
        pictures=call.pictures,
        runtime=runtime,
        memory=peak_memory(call.run, call.device) if timed else None,
        protocol={
            **call.protocol,
            "device": str(call.device),
            "threads": torch.get_num_threads(),
        },
        machine=machine(call.device),
        versions=versions(),
    )


def machine(device: torch.device) -> dict[str, object]:
    """What a machine says of itself: processor, its cores, and the accelerator if one is used."""
    told: dict[str, object] = {"processor": processor(), "cores": os.cpu_count() or 0}
    if device.type == "cuda":
        told["accelerator"] = torch.cuda.get_device_name(device)
    return told


def versions() -> dict[str, str]:
    """Versions of Python and of those packages that are installed and may have run."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        if name.removesuffix("_torch") in sys.modules:
            found[name] = metadata.version(name)
    return found


def _forward(
    module: nn.Module, inputs: Sequence[Tensor] | Mapping[str, Tensor]
) -> Callable[[], object]:
    def run() -> object:
        with torch.no_grad():
            return _called(module, inputs)

    return run


def _trained(
    module: nn.Module, inputs: Sequence[Tensor] | Mapping[str, Tensor]
) -> Callable[[], object]:
    """A forward and a backward pass; `torch.autograd.grad` leaves no gradient on the module."""
    trainable = [p for p in module.parameters() if p.requires_grad]
    if not trainable:
        raise DataError("nothing in the network is trainable, so there is no backward pass")

    def run() -> object:
        with torch.enable_grad():
            outputs = [t for t in _tensors(_called(module, inputs)) if t.requires_grad]
            if not outputs:
                raise DataError("no output of the network depends on what is trainable in it")
            loss = torch.stack([t.float().sum() for t in outputs]).sum()
        return torch.autograd.grad(loss, trainable, allow_unused=True)

    return run


def _called(module: nn.Module, inputs: Sequence[Tensor] | Mapping[str, Tensor]) -> object:
    return module(**inputs) if isinstance(inputs, Mapping) else module(*inputs)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors of an output, which may be nested."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode inside; outside every module has the mode that it had."""
    modes = {each: each.training for each in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for each, mode in modes.items():
            each.training = mode


def _device(module: nn.Module, inputs: Sequence[Tensor]) -> torch.device:
    if not inputs:
        raise DataError("the network needs at least one input to be run on")
    held = {t.device for t in (*module.parameters(), *module.buffers())}
    given = {t.device for t in inputs}
    if held and held != given:
        raise ConfigError(
            f"the network lies on {_listed(held)}, its inputs on {_listed(given)}; put both on one"
        )
    return inputs[0].device


def _dtypes(module: nn.Module) -> str:
    return _listed({_dtype(p) for p in module.parameters()}) or "none"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shape(tensor: Tensor) -> str:
    return ",".join(map(str, tensor.shape))


def _listed(values: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, values)))


def processor() -> str:
    """What the machine calls its processor."""
    try:
        rows = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (row.partition(":")[2].strip() for row in rows if row.startswith("model name"))
    return next(names, platform.machine())
