"""A matrix that grows block by block, in memory while it is small and then on disk."""

from __future__ import annotations

import tempfile
import weakref
from typing import IO

import numpy as np

from beholder.eval._features import Array

MEMORY = 2**30
"""Bytes up to which rows stay in memory."""


class GrowingMatrix:
    """Rows of float32 that are appended; the whole is read as one array, mapped if it is large."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory
        self._blocks: list[Array] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._rows = 0
        self._width = 0

    def __len__(self) -> int:
        return self._rows

    def append(self, block: Array) -> None:
        """Add the rows of a block (k, d)."""
        values = np.ascontiguousarray(block, dtype=np.float32)
        self._rows += len(values)
        self._width = values.shape[1]
        self._blocks.append(values)
        self._bytes += values.nbytes
        if self._bytes > self._memory:
            self._spill()

    def array(self) -> Array:
        """All rows (n, d); of a large matrix a read-only map of a file that nobody else sees."""
        if self._file is None:
            return np.concatenate(self._blocks) if self._blocks else np.zeros((0, 0), np.float32)
        self._spill()
        self._file.flush()
        shape = (self._rows, self._width)
        return np.memmap(self._file, dtype=np.float32, mode="r", shape=shape)

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  (maps outlive the file)
            weakref.finalize(self, self._file.close)
        for block in self._blocks:
            self._file.write(block.data)
        self._blocks, self._bytes = [], 0
