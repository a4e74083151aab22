"""Files of states, mapped into memory; they are found by the contents of a picture or text.

A picture here is either, known by its sha256.
"""

from __future__ import annotations

import json
import logging
import os
import time
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from beholder.errors import ConfigError, DataError
from beholder.rewards._towers import Features

Stored = Literal["fp16", "fp32"]
"""Half the room, or every bit."""

PART_BYTES = 32 * 2**20
PART_SECONDS = 30.0
"""A part is written when it is so large, or so long after the one before: more than that is not
lost when a run is killed."""

_DTYPES = {"fp16": torch.float16, "fp32": torch.float32}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """The states of some pictures in one file, of which memory holds what was looked at.

    Attributes:
        pictures: sha256 of the pictures, a row each.
        checksum: CRC-32 of all of it, as its writer knew it.
    """

    path: Path
    pictures: tuple[str, ...]
    tokens: NDArray[np.generic]
    pooled: NDArray[np.generic]
    checksum: int

    def is_sound(self) -> bool:
        """Whether the states are those that were written; reads the whole file."""
        return _checksum(self.pictures, self.pooled, self.tokens) == self.checksum


class Parts:
    """The parts of a folder that hold any of some pictures.

    Of several parts with a picture the earliest counts, so that nothing written later changes what
    a run has seen. Any number of processes may read and write the same folder.

    Args:
        folder: it need not exist.
        pictures: sha256 of those that matter.
    """

    def __init__(self, folder: Path, pictures: Collection[str]) -> None:
        wanted = set(pictures)
        self._rows: dict[str, tuple[Part, int]] = {}
        self._sound: dict[Path, bool] = {}
        for part in filter(None, map(_opened, sorted(folder.glob("*.safetensors")))):
            for row, picture in enumerate(part.pictures):
                if picture in wanted:
                    self._rows.setdefault(picture, (part, row))

    def holds(self, picture: str) -> bool:
        """Whether a picture's states are there and what was written; a damaged part is removed."""
        if picture not in self._rows:
            return False
        part, _ = self._rows[picture]
        if part.path not in self._sound:
            self._sound[part.path] = part.is_sound()
            if not self._sound[part.path]:
                _discard(part.path)
        return self._sound[part.path]

    def load(self, pictures: Sequence[str]) -> Features:
        """Their states in float32, a row each; DataError if one is not there."""
        missing = [picture for picture in pictures if picture not in self._rows]
        if missing:
            raise DataError(f"kept features are gone ({missing[0]}); start the run again")
        rows = [self._rows[picture] for picture in pictures]
        tokens = np.stack([part.tokens[row] for part, row in rows])
        pooled = np.stack([part.pooled[row] for part, row in rows])
        return Features(torch.from_numpy(tokens).float(), torch.from_numpy(pooled).float())


class PartWriter:
    """Gathers the states of pictures into parts of a useful size, and writes the rest on leaving.

    Args:
        folder: where parts are written.
        stored: how.
    """

    def __init__(self, folder: Path, stored: Stored) -> None:
        self._folder, self._stored = folder, stored
        self._states: dict[str, Features] = {}
        self._bytes = 0
        self._added: set[str] = set()
        self._since = time.monotonic()

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def holds(self, picture: str) -> bool:
        """Whether a picture's states were added."""
        return picture in self._added

    def add(self, pictures: Sequence[str], states: Features) -> None:
        """Take the states of pictures, known by their sha256, a row each.

        Raises ConfigError if they are too large to be stored so.
        """
        kept = narrowed(states, self._stored)
        self._added.update(pictures)
        self._bytes += kept.tokens.nbytes + kept.pooled.nbytes
        for row, picture in enumerate(pictures):
            self._states[picture] = kept.rows(torch.tensor([row]))
        if self._bytes > PART_BYTES or time.monotonic() - self._since > PART_SECONDS:
            self._write()

    def _write(self) -> None:
        by_shape: dict[torch.Size, dict[str, Features]] = {}
        for picture, one in self._states.items():  # texts may differ in their number of tokens
            by_shape.setdefault(one.tokens.shape, {})[picture] = one
        for alike in by_shape.values():
            write_part(self._folder, alike)
        self._states, self._bytes, self._since = {}, 0, time.monotonic()


def narrowed(states: Features, stored: Stored) -> Features:
    """The states as they are stored.

    Raises ConfigError if one is too large for that.
    """
    dtype = _DTYPES[stored]
    limit = torch.finfo(dtype).max
    for values in (states.tokens, states.pooled):
        if values.numel() and (highest := values.abs().amax().item()) > limit:
            raise ConfigError(
                f"the towers' states reach {highest:.3g}, {stored} ends at {limit:.3g}; "
                "set feature_dtype to fp32"
            )
    return states.to("cpu", dtype)


def write_part(folder: Path, states: Mapping[str, Features]) -> None:
    """Write states of pictures, one row of `narrowed` for each sha256, as a new part."""
    pictures = tuple(states)
    tensors = {
        name: torch.cat([getattr(one, name) for one in states.values()]).contiguous()
        for name in ("pooled", "tokens")
    }
    checksum = _checksum(pictures, *(tensors[name].numpy() for name in ("pooled", "tokens")))
    told = {"pictures": " ".join(pictures), "checksum": str(checksum)}
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{time.time_ns():020d}-{os.getpid()}.safetensors"  # sorted by time
    partial = folder / f".{name}"
    save_file(tensors, partial, told)
    partial.replace(folder / name)


def _discard(path: Path) -> None:
    _LOG.warning("kept features in %s are damaged; they are computed anew", path)
    path.unlink(missing_ok=True)


def _opened(path: Path) -> Part | None:
    """The part in a file; None if it is gone, or damaged, which removes it.

    Raises DataError if the file cannot be read.
    """
    try:
        with safe_open(path, "pt") as file:  # checks the lengths
            told = file.metadata() or {}
        tensors = _mapped(path)
        pictures = tuple(told["pictures"].split())
        return Part(path, pictures, tensors["tokens"], tensors["pooled"], int(told["checksum"]))
    except FileNotFoundError:
        return None  # another process found it damaged
    except (SafetensorError, KeyError, ValueError):
        _discard(path)
        return None
    except OSError as error:
        raise DataError(f"cannot read kept features in {path}: {error}") from error


def _mapped(path: Path) -> dict[str, NDArray[np.generic]]:
    """The tensors of a safetensors file, not yet read: a header's length, the header, the data."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    data = np.asarray(np.memmap(path, np.uint8, "r", offset=8 + length))
    types = {"F16": np.float16, "F32": np.float32}
    return {
        name: data[slice(*one["data_offsets"])].view(types[one["dtype"]]).reshape(one["shape"])
        for name, one in header.items()
        if name != "__metadata__"
    }


def _checksum(pictures: Sequence[str], *arrays: NDArray[np.generic]) -> int:
    total = zlib.crc32(" ".join(pictures).encode())
    for array in arrays:
        total = zlib.crc32(array.reshape(-1).view(np.uint8).data, total)
    return total
