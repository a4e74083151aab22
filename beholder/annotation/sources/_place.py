"""Where the published files lie: a folder of this machine, or a repository of the hub."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol, final, runtime_checkable

from typing_extensions import override

from beholder.annotation.sources._cells import LeftOutError
from beholder.errors import AnnotationError, BeholderError

if TYPE_CHECKING:
    from huggingface_hub import HfFileSystem

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_LFS = b"version https://git-lfs"
_ROWS_AT_ONCE = 64  # with two pictures inside a row, memory is the limit


@runtime_checkable
class Readable(Protocol):
    """What every open file can do, here or on the hub."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; b"" at the end."""


class Place(ABC):
    """Files that are listed and opened by names relative to one root."""

    def find(self, *patterns: str) -> list[str]:
        """The files of the first pattern that has any, in order; AnnotationError if none has."""
        for pattern in patterns:
            if names := self.names(pattern):
                return names
        raise AnnotationError(
            f"{self} holds no {' nor '.join(patterns)}; give the folder of the published files"
        )

    @contextmanager
    def opened(self, name: str) -> Iterator[Readable]:
        """The file, open; inside, what reading it raises becomes AnnotationError with its name."""
        with self._named(name), self.open(name) as file:
            yield file

    @abstractmethod
    def names(self, pattern: str) -> list[str]:
        """The files whose names match a glob pattern, in order."""

    @abstractmethod
    def open(self, name: str) -> AbstractContextManager[Readable]:
        """A file to read; it can `seek` too."""

    @abstractmethod
    def picture(self, reference: str) -> str:
        """What a record calls a picture; LeftOutError if the reference leaves the root."""

    @abstractmethod
    def lacks(self, picture: str) -> bool:
        """Whether the picture should be a file here but is none."""

    @abstractmethod
    def faults(self) -> tuple[type[Exception], ...]:
        """What listing and reading may raise."""

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        try:
            yield
        except BeholderError:  # it is a ValueError too
            raise
        except self.faults() as error:
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise AnnotationError(f"{self}/{name} cannot be read: {reason}") from error


@final
@dataclass(frozen=True, slots=True)
class Folder(Place):
    """A folder of this machine."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    @override
    def names(self, pattern: str) -> list[str]:
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.glob(pattern))

    @override
    def open(self, name: str) -> AbstractContextManager[Readable]:
        file = (self.root / name).open("rb")
        if file.peek(len(_LFS)).startswith(_LFS):
            file.close()
            raise AnnotationError(f"{self}/{name} is a Git LFS pointer; run `git lfs pull`")
        return file

    @override
    def picture(self, reference: str) -> str:
        return str(self.root / inside(reference))

    @override
    def lacks(self, picture: str) -> bool:
        return not os.path.isfile(picture)  # noqa: PTH113  (twice as fast, millions of times)

    @override
    def faults(self) -> tuple[type[Exception], ...]:
        return (OSError,)


@final
@dataclass(frozen=True, slots=True)
class Hub(Place):
    """A data set repository "user/name" of the hub, read where it is, piece by piece."""

    repository: str

    def __str__(self) -> str:
        return f"hub:{self.repository}"

    @override
    def names(self, pattern: str) -> list[str]:
        root = f"datasets/{self.repository}/"
        with self._named(pattern):
            found = _hub().glob(root + pattern)
        return sorted(str(path).removeprefix(root) for path in found)

    @override
    def open(self, name: str) -> AbstractContextManager[Readable]:
        file: AbstractContextManager[Readable] = _hub().open(
            f"datasets/{self.repository}/{name}", "rb"
        )
        return file

    @override
    def picture(self, reference: str) -> str:
        return str(inside(reference))

    @override
    def lacks(self, picture: str) -> bool:
        return False  # pictures of the hub lie in archives that nobody unpacked

    @override
    def faults(self) -> tuple[type[Exception], ...]:
        from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

        return (OSError, ValueError, *HfHubHTTPError.__bases__)  # its HTTP client's errors too


def open_place(place: str | Path | None, repository: str) -> Place:
    """The folder, or the repository "user/name"; None is the published `repository`.

    Raises AnnotationError if it is neither.
    """
    if place is None:
        return Hub(repository)
    if Path(place).is_dir():
        return Folder(Path(place))
    if isinstance(place, str) and _REPOSITORY.fullmatch(place) and not Path(place).exists():
        return Hub(place)
    raise AnnotationError(
        f"there is no folder {str(place)!r}; give one, or a hub repository as user/name"
    )


def parquet_rows(
    place: Place, names: Sequence[str], columns: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """The rows of several parquet files; of the columns, only those that a file has are read."""
    for name in names:
        with place.opened(name) as file:
            yield from _parquet_rows(place, name, file, columns)


def _parquet_rows(
    place: Place, name: str, file: Readable, columns: Sequence[str]
) -> Iterator[dict[str, Any]]:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    row = 0
    try:
        table = pq.ParquetFile(file, buffer_size=1 << 20)  # or a whole row group is in memory
        present = [column for column in columns if column in table.schema_arrow.names]
        for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE, columns=present):
            yield from batch.to_pylist()
            row += len(batch)
    except pa.ArrowException as error:
        raise AnnotationError(
            f"{place}/{name} is damaged or no parquet file, after row {row}: {error}"
        ) from error


def inside(reference: str) -> PurePosixPath:
    """A picture's path below the root of its data set; LeftOutError if it names none there."""
    path = PurePosixPath(reference)
    if path.is_absolute() or ".." in path.parts or "\0" in reference or not path.name:
        raise LeftOutError("the picture's path leaves the data set", repr(reference))
    return path


def _hub() -> HfFileSystem:
    from huggingface_hub import HfFileSystem  # noqa: PLC0415

    return HfFileSystem()
