"""Which pictures can be read: found out before training, so that no run stops at a bad one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from beholder._inputs.picture_files import read_file
from beholder.errors import DataError, ImageError
from beholder.images import LIMITS, read_images

CHUNK = 32
"""Pictures that are decoded, or encoded, together."""

Survey = dict[str, str]
"""Picture -> why it cannot be read, as "code: why"."""


def unreadable(pictures: Sequence[str], rank: int, count: int) -> Survey:
    """Those of a process's share of the pictures that cannot be read."""
    faults: Survey = {}
    for chunk in share_of_chunks(pictures, rank, count):
        for picture, read in zip(chunk, read_images(chunk), strict=True):
            if isinstance(read, ImageError):
                faults[picture] = f"{read.code}: {read}"
    return faults


def share_of_chunks(pictures: Sequence[str], rank: int, count: int) -> Iterator[Sequence[str]]:
    """A process's share of the pictures, a chunk at a time; the first one shows its progress."""
    from tqdm import tqdm  # noqa: PLC0415

    starts = range(rank * CHUNK, len(pictures), count * CHUNK)
    hidden = True if rank else None  # None: where no terminal is
    for start in tqdm(starts, desc="pictures", unit=f"{CHUNK} pictures", disable=hidden):
        yield pictures[start : start + CHUNK]


def read_all(pictures: Sequence[str]) -> list[Tensor]:
    """Decoded pictures (3, h, w) of any sizes.

    Raises DataError if one, which could be read before, cannot be read now.
    """
    read = read_images(pictures)
    for picture, result in zip(pictures, read, strict=True):
        if isinstance(result, ImageError):
            raise DataError(f"picture {picture} changed while the run goes on: {result}")
    return [result for result in read if isinstance(result, Tensor)]


def content_hashes(pictures: Sequence[str]) -> tuple[dict[str, str], Survey]:
    """sha256 of each picture's file, and which files cannot be read."""
    hashes, faults = {}, {}
    for picture in pictures:
        try:
            hashes[picture] = hashlib.sha256(read_file(Path(picture), LIMITS.bytes)).hexdigest()
        except ImageError as error:
            faults[picture] = f"{error.code}: {error}"
    return hashes, faults
