"""What a picture or video is, by its bytes: the key under which its features are kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import Tensor

_CHUNK = 2**20


def content_of(source: object) -> bytes | None:
    """The sha256 of a file, of encoded bytes, of an array, or of all files of a folder of frames.

    None where there is nothing to hash: then its features are not kept.
    """
    digest = hashlib.sha256()
    try:
        for chunk in _chunks(source):
            digest.update(chunk)
    except (OSError, ValueError, TypeError):  # it cannot be read: whoever decodes it says why
        return None
    return digest.digest()


def _chunks(source: object) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
    elif isinstance(source, str | os.PathLike):
        yield from _file_chunks(Path(source))
    elif isinstance(source, Tensor | np.ndarray):
        plain = source.detach().cpu() if isinstance(source, Tensor) else source
        values = np.ascontiguousarray(plain)
        yield f"{values.dtype} {values.shape}".encode()
        yield values.tobytes()
    else:
        raise TypeError(f"a {type(source).__name__} has no bytes of its own")


def _file_chunks(path: Path) -> Iterator[bytes]:
    if path.is_dir():
        for frame in sorted(p for p in path.iterdir() if p.is_file()):
            yield f"{frame.name}\n".encode()
            yield from _file_chunks(frame)
    elif path.is_file():  # never a pipe, which would wait
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    else:
        raise FileNotFoundError(path)
