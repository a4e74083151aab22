"""Files and folders by path or address: a local disk, or whatever fsspec reaches.

`Place("scores")`, `Place("s3://bucket/scores")` and `Place("hf://datasets/me/scores")` answer the
same questions. A file appears whole or not at all: on a disk by a name aside and a rename, in an
object store by one upload. Trying again after a fault of the network is left to fsspec.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from beholder._fetched import fetched_folder
from beholder._remote_file import RemoteFile
from beholder.errors import BeholderError, DataError, MissingDependencyError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ASIDE = ".tmp"
"""Ends the names of files that are still being written; they begin with a dot."""

STORES = frozenset(
    ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "hf", "oss", "obs", "cos", "memory")
)
"""Schemes of object stores, whose uploads appear whole."""

_LEFT_OVER = re.compile(r"\..+\.[0-9a-f]{8}" + re.escape(ASIDE))
_ON_DISK = frozenset({"file", "local"})
_SCHEMES_ON_DISK = tuple(f"{scheme}://" for scheme in sorted(_ON_DISK))
_MARKS = (
    *("ETag", "etag", "checksum", "md5Hash", "content_md5", "blob_id", "generation"),
    *("mtime", "LastModified", "last_modified", "updated", "modified", "created"),
)


def scheme_of(address: str | os.PathLike[str]) -> str:
    """What stands before "://" in an address, "file" for a path on the local disk."""
    text = os.fspath(address)
    if text.startswith("/"):  # as most are
        return "file"
    scheme, sign, _ = text.partition("://")
    return scheme if sign and scheme.isidentifier() else "file"


def is_remote(address: str | os.PathLike[str]) -> bool:
    """Whether an address names another place than the local disk, as "s3://…" does."""
    return scheme_of(address) not in _ON_DISK


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file is still the same: its bytes, and a mark that changes with it."""

    size: int
    mark: str


@runtime_checkable
class Readable(Protocol):
    """A file that is open for reading; its lines come one by one."""

    def __enter__(self) -> Readable: ...
    def __exit__(self, *_: object) -> object: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def read(self, size: int = -1, /) -> bytes:
        """Up to so many bytes, or all."""

    def seek(self, at: int, whence: int = 0, /) -> int:
        """Go to a byte."""

    def close(self) -> object:
        """Let go of it."""


class Place:
    """A file or folder; it need not exist.

    Attributes:
        address: as it was given; a path may begin with "~" or "file://".
        is_remote: whether it lies elsewhere than on the local disk.
    """

    def __init__(self, address: str | os.PathLike[str]) -> None:
        self.address = os.fspath(address)
        self.is_remote = is_remote(self.address)

    def __str__(self) -> str:
        return self.address

    def __repr__(self) -> str:
        return f"Place({self.address!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self.absolute == other.absolute

    def __hash__(self) -> int:
        return hash(self.absolute)

    def __truediv__(self, name: str) -> Place:
        gap = "" if self.address.endswith("/") else "/"
        return Place(f"{self.address}{gap}{name}")

    @property
    def name(self) -> str:
        """The last part of the address."""
        return PurePosixPath(self.path).name

    @property
    def parent(self) -> Place:
        """The folder that it lies in."""
        if not self.is_remote:
            return Place(Path(self.path).parent)
        head = self.address.rstrip("/").rpartition("/")[0]
        return Place(f"{head}/" if head.endswith((":/", "://")) else head)

    @cached_property
    def absolute(self) -> str:
        """The address, which for a path does not depend on the working folder."""
        # resolve() would follow links
        return self.address if self.is_remote else os.path.abspath(self.path)  # noqa: PTH100

    @cached_property
    def path(self) -> str:
        """The address as its file system calls it."""
        if self.is_remote:
            return cast("str", self.system._strip_protocol(self.address))
        path = self.address
        if path.startswith("/"):  # as most are
            return path
        if path.startswith(_SCHEMES_ON_DISK):
            path = path.partition("://")[2]
        return os.path.expanduser(path)  # noqa: PTH111  (Path drops what is special of addresses)

    @cached_property
    def system(self) -> AbstractFileSystem:
        """The file system of fsspec; MissingDependencyError if its package is not installed."""
        import fsspec  # noqa: PLC0415

        scheme = scheme_of(self.address)
        try:
            return fsspec.filesystem(scheme)
        except ImportError as error:
            raise MissingDependencyError(f"{self.address} cannot be reached: {error}") from error
        except ValueError as error:
            raise DataError(f"{self.address}: fsspec knows no {scheme!r}") from error
        except Exception as error:  # such as missing credentials
            raise DataError(f"{self.address} cannot be reached: {_why(error)}") from error

    @contextmanager
    def reaching(self, what: str) -> Iterator[None]:
        """Raise DataError, "ADDRESS cannot be <what>: why", for what goes wrong meanwhile.

        A disk raises OSError, stores whatever their libraries have.
        """
        try:
            yield
        except BeholderError:
            raise
        except Exception as error:
            if self.is_remote or isinstance(error, OSError):
                raise DataError(f"{self.address} cannot be {what}: {_why(error)}") from error
            raise

    def exists(self) -> bool:
        """Whether there is a file or folder."""
        if not self.is_remote:
            return os.path.exists(self.path)  # noqa: PTH110
        with self.reaching("asked for"):
            return cast("bool", self._fresh().exists(self.path))

    def is_folder(self) -> bool:
        """Whether it is a folder; object stores have one where a name begins so."""
        if not self.is_remote:
            return os.path.isdir(self.path)  # noqa: PTH112
        with self.reaching("asked for"):
            return cast("bool", self._fresh().isdir(self.path))

    def names(self) -> Iterator[str]:
        """Names of the files and folders directly in a folder, in no order; none if it is absent.

        A local folder is read as it goes, however large; those being written are left out.
        """
        if not self.is_remote:
            with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.path) as entries:
                yield from (e.name for e in entries if not e.name.endswith(ASIDE))
            return
        found: list[str] = []
        with self.reaching("listed"), suppress(FileNotFoundError, NotADirectoryError):
            found = self._fresh().ls(self.path, detail=False)
        names = (PurePosixPath(path).name for path in found if path.rstrip("/") != self.path)
        yield from (name for name in names if not name.endswith(ASIDE))

    def stamp(self) -> Stamp:
        """Size and mark of a file; DataError if it cannot be asked."""
        with self.reaching("read"):
            if not self.is_remote:
                return stamp_of_file(os.stat(self.path))  # noqa: PTH116
            return stamp_of_info(self._fresh().info(self.path))

    def open(self) -> Readable:
        """The file to be read; DataError if it cannot be opened."""
        with self.reaching("opened"):
            if not self.is_remote:
                return cast("Readable", Path(self.path).open("rb"))
            return RemoteFile(self.system.open(self.path, "rb"), lambda: self.reaching("read"))

    def read(self) -> bytes:
        """All bytes of a file; DataError if it cannot be read."""
        with self.open() as file, self.reaching("read"):
            return file.read()

    def head(self, most: int) -> bytes:
        """Up to so many of its first bytes, by one request; DataError if it cannot be read."""
        with self.reaching("read"):
            if self.is_remote:
                return cast("bytes", self.system.cat_file(self.path, start=0, end=most))
            with Path(self.path).open("rb") as file:
                return file.read(most)

    def write(self, contents: bytes) -> None:
        """Put a whole file in place of what is there.

        Raises OSError as the disk or the store does, DataError for what else a store raises.
        """
        if self.is_remote:
            with self._changing("written"):
                self._upload(contents)
            return
        with _aside(Path(self.path), contents) as aside:
            aside.replace(self.path)

    def write_new(self, contents: bytes) -> bool:
        """Put a whole file where none is; False, and nothing changes, if there is one.

        Of several that try at once one wins, on disks and in stores that know such a request.
        """
        if self.is_remote:
            with self._changing("written"):
                return self._upload_new(contents)
        with _aside(Path(self.path), contents) as aside:
            try:
                os.link(aside, self.path)
            except FileExistsError:
                return False
            except OSError:  # a disk without hard links
                if self.exists():
                    return False
                aside.replace(self.path)
        return True

    def delete(self) -> None:
        """Take a file away, if it is there."""
        if not self.is_remote:
            Path(self.path).unlink(missing_ok=True)
            return
        with self._changing("deleted"), suppress(FileNotFoundError):
            self._fresh().rm_file(self.path)

    @contextmanager
    def local(self) -> Iterator[Path]:
        """The file on the local disk; a remote one is fetched, and forgotten afterwards."""
        path, forget = self.fetch()
        try:
            yield path
        finally:
            forget()

    def fetch(self) -> tuple[Path, Callable[[], None]]:
        """The file on the local disk, and what takes a fetched copy away; DataError if it fails.

        A copy that is not taken away goes with its process, see `_fetched`.
        """
        if not self.is_remote:
            return Path(self.path), lambda: None
        folder, forget = fetched_folder()
        try:
            with self.reaching("fetched"):
                self.system.get_file(self.path, str(folder / self.name))
        except BaseException:
            forget()
            raise
        return folder / self.name, forget

    @contextmanager
    def _changing(self, what: str) -> Iterator[None]:
        """As `reaching`, but what has an error number, such as a full store, stays an OSError."""
        try:
            with self.reaching(what):
                yield
        except DataError as error:
            why = error.__cause__
            if isinstance(why, OSError) and why.errno is not None:
                raise OSError(why.errno, str(error)) from why
            raise

    def _fresh(self) -> AbstractFileSystem:
        """The file system without listings that it remembers: others write there too."""
        self.system.invalidate_cache()
        return self.system

    def _upload(self, contents: bytes) -> None:
        if scheme_of(self.address) in STORES:
            self.system.pipe_file(self.path, contents)
            return
        parent, name = os.path.split(self.path)
        aside = f"{parent}/.{name}.{uuid.uuid4().hex[:8]}{ASIDE}"
        self.system.makedirs(parent, exist_ok=True)
        self.system.pipe_file(aside, contents)
        self.system.mv(aside, self.path)

    def _upload_new(self, contents: bytes) -> bool:
        if self.exists():
            return False
        if scheme_of(self.address) not in STORES:
            self._upload(contents)
            return True
        try:
            self.system.pipe_file(self.path, contents, mode="create")
        except FileExistsError:
            return False
        except (NotImplementedError, TypeError, ValueError):  # a store that knows no such request
            self._upload(contents)
        return True


def sweep(folder: Place) -> None:
    """Delete what killed writers left of files below a local folder; nobody may write there."""
    if folder.is_remote:
        return
    for where, _, names in os.walk(folder.path):
        for name in names:
            if _LEFT_OVER.fullmatch(name):
                Path(where, name).unlink(missing_ok=True)


def stamp_of_file(status: os.stat_result) -> Stamp:
    """The stamp of a file on the local disk; its mark is the time of its last change."""
    return Stamp(status.st_size, str(status.st_mtime_ns))


def stamp_of_info(info: Mapping[str, Any]) -> Stamp:
    """The stamp of a remote file by what its file system tells, also in a listing."""
    mark = next((info[name] for name in _MARKS if info.get(name)), "")
    if isinstance(mark, datetime):  # some tell a time in one way of a file, in another in a listing
        mark = mark.timestamp()
    return Stamp(int(info.get("size") or 0), str(mark))


@contextmanager
def _aside(target: Path, contents: bytes) -> Iterator[Path]:
    """A file beside the target that holds the contents, gone afterwards."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}{ASIDE}")
    try:
        with aside.open("wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def _why(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return str(error) or type(error).__name__
