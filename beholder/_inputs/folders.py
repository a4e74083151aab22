"""Files of a folder in one order, however many there are: names are sorted on the disk if need be.

A folder's files come by name, then its subfolders by name, each in the same way. Names that begin
with a dot are left out, and links to folders are not followed.
"""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO

IN_MEMORY = 50_000
"""Names of one folder that are sorted in memory; more are sorted in parts on the disk."""

_MOST_RUNS = 64  # files that are open at once
_AT_ONCE = 1000  # names that are written at once
_BLOCK = 2**16  # bytes that are read at once


def walk(root: Path, in_memory: int = IN_MEMORY) -> Iterator[Path]:
    """Every file below a folder in order; memory stays flat. Folders that cannot be read are empty.

    Args:
        root: the folder.
        in_memory: names that are held at once.
    """
    open_folders: list[Iterator[Path]] = [iter([root])]
    while open_folders:
        folder = next(open_folders[-1], None)
        if folder is None:
            open_folders.pop()
            continue
        files, folders = _listed(folder, in_memory)
        yield from _below(folder, files)
        open_folders.append(_below(folder, folders))


def any_file(root: Path) -> Iterator[str]:
    """The path of every file below a folder in no order, the first at once."""
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (f"{folder}/{name}" for name in files if not name.startswith("."))


def _below(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    return (folder / name for name in names)


def _listed(folder: Path, in_memory: int) -> tuple[Iterator[str], Iterator[str]]:
    """Names of the files and of the folders in a folder, each in order."""
    files, folders = InOrder(in_memory), InOrder(in_memory)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if not _is_folder(entry):
                    files.add(entry.name)
                elif not entry.is_symlink():
                    folders.add(entry.name)
    except OSError:
        pass  # as os.walk does
    return iter(files), iter(folders)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


class InOrder:
    """Names in ascending order, sorted in parts on the disk if they are many; read once."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._names: list[str] = []
        self._runs: list[IO[bytes]] = []

    def add(self, name: str) -> None:
        """Take one more, without a null character."""
        self._names.append(name)
        if len(self._names) >= self._in_memory:
            self._spill(sorted(self._names))
            self._names.clear()
            if len(self._runs) >= _MOST_RUNS:
                runs, self._runs = self._runs, []
                self._spill(heapq.merge(*map(_read, runs)))

    def __iter__(self) -> Iterator[str]:
        self._names.sort()
        if not self._runs:
            yield from self._names
        else:
            yield from heapq.merge(*map(_read, self._runs), self._names)

    def __del__(self) -> None:
        for run in self._runs:
            run.close()

    def _spill(self, names: Iterable[str]) -> None:
        run = tempfile.TemporaryFile()  # noqa: SIM115  (closed when read)
        rest = iter(names)
        while some := list(islice(rest, _AT_ONCE)):
            run.write(("\0".join(some) + "\0").encode("utf-8", "surrogatepass"))
        run.seek(0)
        self._runs.append(run)


def _read(run: IO[bytes]) -> Iterator[str]:
    with run:
        cut = b""
        while block := run.read(_BLOCK):
            *names, cut = (cut + block).split(b"\0")
            yield from (name.decode("utf-8", "surrogatepass") for name in names)
