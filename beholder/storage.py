"""Files and folders by path or address: a local disk, or whatever fsspec reaches.

`Place("scores")`, `Place("s3://bucket/scores")` and `Place("hf://datasets/me/scores")` answer the
same questions. A file appears whole or not at all: locally by a name aside and a rename, elsewhere
by one upload.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from beholder.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ASIDE = ".tmp"
"""Ends the names of files that are still being written; they begin with a dot."""


def is_remote(address: str | os.PathLike[str]) -> bool:
    """Whether an address names another place than the local disk, as "s3://…" does."""
    scheme, sign, _ = os.fspath(address).partition("://")
    return bool(sign) and scheme.isidentifier() and scheme not in {"file", "local"}


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file is still the same: its bytes, and a mark that changes with it."""

    size: int
    mark: str


class Place:
    """A file or folder; it need not exist."""

    def __init__(self, address: str | os.PathLike[str]) -> None:
        self.address = os.fspath(address)
        self.is_remote = is_remote(self.address)

    def __str__(self) -> str:
        return self.address

    def __repr__(self) -> str:
        return f"Place({self.address!r})"

    def __truediv__(self, name: str) -> Place:
        return Place(f"{self.address.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The last part of the address."""
        return PurePosixPath(self.path).name

    @cached_property
    def path(self) -> str:
        """The address as its file system calls it."""
        if not self.is_remote:
            return self.address.partition("://")[2] or self.address
        return cast("str", self.system._strip_protocol(self.address))

    @cached_property
    def system(self) -> AbstractFileSystem:
        """The file system of fsspec; MissingDependencyError if its package is not installed."""
        import fsspec  # noqa: PLC0415

        scheme = self.address.partition("://")[0] if self.is_remote else "file"
        try:
            return fsspec.filesystem(scheme)
        except ImportError as error:
            raise MissingDependencyError(f"{self.address} cannot be reached: {error}") from error
        except ValueError as error:
            raise DataError(f"{self.address}: fsspec knows no {scheme!r}") from error

    def exists(self) -> bool:
        """Whether there is a file or folder."""
        return cast("bool", self.system.exists(self.path))

    def is_folder(self) -> bool:
        """Whether it is a folder; object stores have one where a name begins so."""
        return cast("bool", self.system.isdir(self.path))

    def names(self) -> Iterator[str]:
        """Names of the files and folders directly in a folder, in no order; none if it is absent.

        A local folder is read as it goes, however large; those being written are left out.
        """
        if not self.is_remote:
            if Path(self.path).is_dir():
                with os.scandir(self.path) as entries:
                    yield from (e.name for e in entries if not e.name.endswith(ASIDE))
            return
        try:
            found = self.system.ls(self.path, detail=False)
        except FileNotFoundError:
            return
        yield from (PurePosixPath(name).name for name in found)

    def stamp(self) -> Stamp:
        """Size and mark of a file; DataError if it cannot be asked."""
        try:
            info: dict[str, Any] = self.system.info(self.path)
        except OSError as error:
            raise DataError(f"{self.address} cannot be read: {error}") from error
        marks = (info.get(name) for name in ("ETag", "etag", "checksum", "md5Hash", "mtime"))
        mark = next((str(m) for m in marks if m), "")
        return Stamp(int(info.get("size") or 0), mark or str(info.get("LastModified") or ""))

    def open(self) -> BinaryIO:
        """The file to be read; DataError if it cannot be opened."""
        try:
            return cast("BinaryIO", self.system.open(self.path, "rb"))
        except OSError as error:
            raise DataError(f"{self.address} cannot be opened: {error}") from error

    def read(self) -> bytes:
        """All bytes of a file; DataError if it cannot be read."""
        with self.open() as file:
            return file.read()

    def write(self, contents: bytes) -> None:
        """Put a whole file in place of what is there."""
        if self.is_remote:
            self.system.pipe_file(self.path, contents)
            return
        target = Path(self.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}{ASIDE}")
        with aside.open("wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)

    def delete(self) -> None:
        """Take a file away, if it is there."""
        if self.system.exists(self.path):
            self.system.rm_file(self.path)

    @contextmanager
    def local(self) -> Iterator[Path]:
        """The file on the local disk; a remote one is fetched, and forgotten afterwards."""
        if not self.is_remote:
            yield Path(self.path)
            return
        with tempfile.TemporaryDirectory(prefix="beholder-") as folder:
            copy = Path(folder) / self.name
            try:
                self.system.get_file(self.path, str(copy))
            except OSError as error:
                raise DataError(f"{self.address} cannot be fetched: {error}") from error
            yield copy
