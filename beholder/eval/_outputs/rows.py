"""Kept rows with their pictures, as they stream by."""

from __future__ import annotations

import errno
import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from beholder._inputs.picture_files import read_file
from beholder.errors import DataError
from beholder.images import LIMITS, ImageSource, read_image

FULL = {errno.ENOSPC, errno.EDQUOT}
"""Numbers of the errors of a full disk."""


@dataclass(frozen=True, slots=True)
class KeptRow:
    """One row of the table and where its picture is: a path, its bytes, or why there is none."""

    columns: Mapping[str, Any] = field(repr=False)
    key: str
    image: str
    prompt: str | None
    source: ImageSource


def encoded(source: ImageSource) -> bytes:
    """The bytes of a picture's file, untouched; those of an array are written as PNG.

    Raises ImageError if it cannot be read.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | os.PathLike):
        return read_file(source, LIMITS.bytes)
    pixels = read_image(source).permute(1, 2, 0).contiguous().cpu().numpy()
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def as_json(columns: Mapping[str, Any]) -> str:
    """A row as one line of strict JSON: what is not finite is null, bytes are left out."""
    plain = {name: _plain(value) for name, value in columns.items() if not _is_bytes(value)}
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, default=str)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Inside, a full or refusing disk is a DataError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DataError(
                f"no space is left for {folder}; free some or give a folder on another disk"
            ) from error
        raise DataError(f"{folder} cannot be written: {error.strerror or error}") from error


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items() if not _is_bytes(each)}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _is_bytes(value: object) -> bool:
    return isinstance(value, bytes | bytearray | memoryview)
