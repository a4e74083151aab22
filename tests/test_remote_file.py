"""What a store's library raises while a file is read is told in our words."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from beholder._remote_file import RemoteFile
from beholder.errors import DataError


class Broken(io.BytesIO):
    """A file whose second line, and whose bytes after the first, cannot be had."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise RuntimeError("no credentials")

    def __next__(self) -> bytes:
        if self.tell():
            raise RuntimeError("cut off")
        return self.readline()


@contextmanager
def told() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise DataError(f"x cannot be read: {error}") from error


def test_faults_are_told_and_all_else_is_the_files() -> None:
    inner = Broken(b"one\ntwo\n")
    with RemoteFile(inner, told) as file:
        lines = iter(file)
        assert next(lines) == b"one\n"
        with pytest.raises(DataError, match="x cannot be read: cut off"):
            next(lines)
        with pytest.raises(DataError, match="x cannot be read: no credentials"):
            file.read(3)
        assert (file.seek(2), file.tell()) == (2, 2)
    assert inner.closed


def test_lines_of_a_whole_file_come_and_end() -> None:
    assert list(RemoteFile(io.BytesIO(b"a\nb"), told)) == [b"a\n", b"b"]
