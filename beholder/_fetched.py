"""Folders for fetched copies, which do not outlive their process by much, however it ends.

Each holds a locked file. The system lets go of the lock when the process ends, and the next process
that fetches takes away the folders that nobody holds. Systems without such locks keep them.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

PREFIX = "beholder-fetched-"
"""Begins the names of these folders."""

_LOCK = ".lock"
_swept: set[str] = set()


def fetched_folder() -> tuple[Path, Callable[[], None]]:
    """A new folder in that of temporary files, and what takes it away."""
    where = tempfile.gettempdir()
    if where not in _swept:
        _swept.add(where)
        sweep(Path(where))
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
        lock = _held(folder)
        if lock is not None:  # else another process took it for abandoned, between the two
            return folder, partial(_forget, folder, lock)


def sweep(where: Path) -> None:
    """Take away the folders whose processes have ended."""
    if sys.platform == "win32":
        return
    for folder in where.glob(f"{PREFIX}*"):
        lock = _held(folder)
        if lock is not None:
            _forget(folder, lock)


def _held(folder: Path) -> int | None:
    """The open lock of a folder that is ours from now on; None if another has it, or it is gone."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT)
    except OSError:
        return None
    try:
        if sys.platform != "win32":
            import fcntl  # noqa: PLC0415

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), (folder / _LOCK).stat()):
            return lock
    except OSError:
        pass
    os.close(lock)
    return None


def _forget(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
