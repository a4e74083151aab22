"""One writer at a time: a lock on a folder that ends with its process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beholder.errors import DataError


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; DataError if another process holds it.

    The system lets go of it when the process ends, however it ends.
    """
    with path.open("w") as file:
        if sys.platform != "win32":
            import fcntl  # noqa: PLC0415

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DataError(f"another process is writing {path.parent}; wait for it") from error
        yield
