"""Memory of processes as Linux counts it."""

from __future__ import annotations

from pathlib import Path


def resident(pid: int | None = None) -> float:
    """MiB that a process holds, this one without a number; 0 if it is gone."""
    return _field("VmRSS", pid)


def peak(pid: int | None = None) -> float:
    """The most MiB that it ever held; `ru_maxrss` would count what its parent held too."""
    return _field("VmHWM", pid)


def _field(name: str, pid: int | None) -> float:
    try:
        text = Path(f"/proc/{pid or 'self'}/status").read_text(errors="replace")
    except OSError:  # the process has just gone
        return 0.0
    kilobytes = (line.split()[1] for line in text.splitlines() if line.startswith(f"{name}:"))
    return int(next(kilobytes, "0")) / 1024
