"""How long a call takes and how much memory it needs, on the machine at hand."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from beholder.errors import ConfigError

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Times of repeated calls, in seconds: a fact about one run on one machine.

    Attributes:
        median, low, high: the quartiles; half of the calls lie between `low` and `high`.
        repeats: calls that count.
        warm_up: calls before them that do not.
    """

    median: float
    low: float
    high: float
    repeats: int
    warm_up: int

    def as_dict(self) -> dict[str, float]:
        """The same as plain JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a call needed at its peak, above what was held before it.

    Attributes:
        peak: in bytes; None where the system does not tell.
        how: who told.
    """

    peak: int | None
    how: str

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        return asdict(self)


def measure_runtime(
    call: Callable[[], object],
    *,
    device: torch.device | str = "cpu",
    repeats: int = 20,
    warm_up: int = 3,
) -> Runtime:
    """Quartiles of the seconds of a call; the device has finished before each clock is read.

    Args:
        call: what is timed.
        device: where it computes, which is waited for.
        repeats: calls that count.
        warm_up: calls before them, in which kernels are chosen and memory is taken.

    Raises:
        ConfigError: if `repeats` or `warm_up` is too small, or the device computes nothing.
    """
    for name, value, least in (("repeats", repeats, 1), ("warm_up", warm_up, 0)):
        if value < least:
            raise ConfigError(f"{name} must be {least} or more, got {value}")
    place = torch.device(device)
    if place.type == "meta":
        raise ConfigError("the meta device computes nothing that could be timed; use cpu or cuda")
    for _ in range(warm_up):
        call()
    seconds = [_seconds(call, place) for _ in range(repeats)]
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75]).tolist()
    return Runtime(median=median, low=low, high=high, repeats=repeats, warm_up=warm_up)


def peak_memory(call: Callable[[], object], device: torch.device | str = "cpu") -> Memory:
    """Run a call once and tell the most memory that it held above what was held before.

    On CUDA it is what torch's allocator gave out. On the CPU under Linux it is the high-water mark
    of the process's resident memory, set back before the call after unused memory was returned:
    one that earlier calls left with other allocators can make it too small.
    """
    place = torch.device(device)
    if place.type == "cuda":
        return _peak_on_cuda(call, place)
    if place.type == "cpu":
        return _peak_resident(call)
    return Memory(None, f"not told on {place.type}")


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    _finish(device)
    start = time.perf_counter()
    call()
    _finish(device)
    return time.perf_counter() - start


def _finish(device: torch.device) -> None:
    """Wait for what was launched on an accelerator."""
    if device.type != "cpu":
        torch.get_device_module(device).synchronize()


def _peak_on_cuda(call: Callable[[], object], device: torch.device) -> Memory:
    _finish(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    _finish(device)
    return Memory(torch.cuda.max_memory_allocated(device) - before, "torch.cuda allocator")


def _peak_resident(call: Callable[[], object]) -> Memory:
    if not _reset_high_water():
        return Memory(None, "this system does not tell a process's high-water mark of memory")
    before = _kibibytes("VmRSS")
    call()
    peak = _kibibytes("VmHWM")
    return Memory(max(0, peak - before) * 1024, "high-water mark of resident memory")


def _reset_high_water() -> bool:
    """Set the peak back to what is held now; False if the system has no such thing."""
    if sys.platform != "linux":
        return False
    _return_unused()
    try:
        _RESET.write_text("5")
        return _kibibytes("VmHWM") > 0
    except (OSError, KeyError):
        return False


def _kibibytes(field: str) -> int:
    """A field of the process's status; KeyError if the kernel does not tell it."""
    rows = (line.partition(":") for line in _STATUS.read_text().splitlines())
    told = {name: value for name, _, value in rows}
    return int(told[field].split()[0])


def _return_unused() -> None:
    """Give freed memory back to the system where the C library can: reused, it would not show."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
