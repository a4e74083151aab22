"""What the verb `cost` tells a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from beholder import _terminal as terminal
from beholder._verbs.cost_runs import per_step

if TYPE_CHECKING:
    from beholder.eval._parameters import Parameters
    from beholder.eval._runtime import Memory, Runtime
    from beholder.eval.cost import Cost

_WITHOUT_TIME = "no time or memory measured"


def cost_text(name: str, told: Cost) -> str:
    """A table of the parts, and what the run took below it."""
    lines = [f"{name}: {_protocol(told)}", _parts_table(told), *_warnings(told)]
    if (step := per_step(told)) is not None:
        lines.append(_step_text(step))
    if told.runtime is None or told.memory is None:
        lines.append(_WITHOUT_TIME)
    else:
        lines += [_runtime_text(told.runtime, told.pictures), _memory_text(told.memory)]
    lines.append(_machine(told))
    lines.append(", ".join(f"{package} {version}" for package, version in told.versions.items()))
    return "\n".join(lines)


def _machine(told: Cost) -> str:
    return ", ".join(f"{name} {value}" for name, value in told.machine.items())


def _protocol(told: Cost) -> str:
    """What decides the figures; a guidance of 0 is said, an absent one is not."""
    said = dict(told.protocol)
    inputs = said.pop("inputs", {})
    given = [f"{name}={value}" for name, value in dict(inputs).items()]  # type: ignore[call-overload]
    told_of = [f"{key} {value}" for key, value in said.items() if value not in (None, "")]
    return ", ".join([*given, *told_of])


def _parts_table(told: Cost) -> str:
    header = ["part", "parameters (M)", "trainable (M)", "tied (M)", "buffers (M)", "MB"]
    rows = [
        [name, *_holds(part.parameters), part.calls, *_does(part.flops)]
        for name, part in told.parts.items()
    ]
    elsewhere = told.flops.total - sum(part.flops for part in told.parts.values())
    if elsewhere:
        rows.append(["elsewhere", *[0.0] * 5, 0, *_does(elsewhere)])
    if len(rows) > 1:
        rows.append(["all", *_holds(told.parameters), 1, *_does(told.flops.total)])
    return terminal.table(rows, [*header, "calls", "GMAC", "GFLOP"])


def _holds(held: Parameters) -> list[float]:
    counts = [held.all, held.trainable, held.shared, held.buffers]
    return [*(count / 1e6 for count in counts), (held.parameter_bytes + held.buffer_bytes) / 1e6]


def _does(flops: int) -> list[float]:
    return [flops / 2e9, flops / 1e9]


def _step_text(step: Mapping[str, Any]) -> str:
    calls = "1 call" if step["calls"] == 1 else f"{step['calls']:g} calls"
    flops = step["flops"] / 1e9
    return f"{step['part']}, a step: {flops:.3f} GFLOP in {calls}, guidance included"


def _runtime_text(runtime: Runtime, pictures: int) -> str:
    low, median, high = (1000 * each for each in (runtime.low, runtime.median, runtime.high))
    return (
        f"time: {median:.1f} ms [{low:.1f}, {high:.1f}] (median and quartiles of {runtime.repeats} "
        f"runs after {runtime.warm_up}), {pictures / runtime.median:.2f} pictures a second"
    )


def _memory_text(memory: Memory) -> str:
    if memory.peak is None:
        return f"memory: {memory.how}"
    return f"memory: {memory.peak / 1e6:.1f} MB above what was held before ({memory.how})"


def _warnings(told: Cost) -> list[str]:
    """What may have worked and counts nothing."""
    return [
        f"not counted: {each.op}, {each.calls} calls in {', '.join(each.modules) or 'no module'}; "
        "the FLOPs are too few by its work"
        for each in told.flops.uncounted
    ]
