"""An open file of a store, whose library may raise anything while it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any


class RemoteFile:
    """A file of fsspec that is open for reading.

    Args:
        file: the file itself; what is not named here is its own.
        reaching: makes what each reading happens in, which says in its own words what goes wrong.
    """

    def __init__(self, file: Any, reaching: Callable[[], AbstractContextManager[None]]) -> None:
        self._file, self._reaching = file, reaching

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> RemoteFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        lines = iter(self._file)
        while True:
            with self._reaching():
                line: bytes | None = next(lines, None)
            if line is None:
                return
            yield line

    def read(self, size: int = -1, /) -> bytes:
        """Up to so many bytes, or all."""
        with self._reaching():
            some: bytes = self._file.read(size)
            return some

    def seek(self, at: int, whence: int = 0, /) -> int:
        """Go to a byte."""
        return int(self._file.seek(at, whence))

    def close(self) -> None:
        """Let go of it."""
        self._file.close()
