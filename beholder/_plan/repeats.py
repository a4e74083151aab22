"""Which keys occur more than once, of as many as there are, in bounded memory.

A key counts by 128 bits of its hash, so that two of a billion keys are taken for one with a chance
below 1e-20. The hashes of many keys are sorted in parts on the disk.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

IN_MEMORY = 1_000_000
"""Keys that are held at once, at 16 bytes each."""

_BYTES = 16
_PARTS = 256


def hash_of(key: str) -> bytes:
    """16 bytes of a key's hash."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest()


class Keys:
    """Takes keys one by one, then tells which hashes it had more than once."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._held = bytearray()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Keys:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, key: str) -> None:
        """Take one more."""
        self._held += hash_of(key)
        if len(self._held) >= self._in_memory * _BYTES:
            self._spill()

    def repeated(self) -> set[bytes]:
        """Hashes of the keys that occurred more than once."""
        if self._folder is None:
            return set(_repeated(np.frombuffer(bytes(self._held), np.uint64)))
        self._spill()
        parts = (np.fromfile(path, np.uint64) for path in Path(self._folder.name).iterdir())
        return {found for part in parts for found in _repeated(part)}

    def _spill(self) -> None:
        """Append what is held to files, each of the hashes that begin with the same byte."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="beholder-keys-")
        held = np.frombuffer(bytes(self._held), np.uint8).reshape(-1, _BYTES)
        order = np.argsort(held[:, 0], kind="stable")
        ends = np.searchsorted(held[order, 0], np.arange(_PARTS), side="right")
        for part, some in enumerate(np.split(held[order], ends[:-1])):
            if len(some):
                with Path(self._folder.name, f"{part:02x}").open("ab") as file:
                    file.write(some.tobytes())
        self._held.clear()


def _repeated(halves: npt.NDArray[np.uint64]) -> Iterator[bytes]:
    hashes = halves.reshape(-1, 2)
    ordered = hashes[np.lexsort((hashes[:, 1], hashes[:, 0]))]
    same = (ordered[1:] == ordered[:-1]).all(1)
    for found in np.unique(ordered[1:][same], axis=0):
        yield found.tobytes()
