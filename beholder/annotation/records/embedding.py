"""Pictures inside a data set: from a file to a cell, and back to a file named by its content."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from beholder.errors import DataError

_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")


def embed_picture(path: str, key: str) -> dict[str, object]:
    """The cell of `datasets.Image`: the file's bytes and its name without folders.

    Raises DataError, naming the pair's `key`, if the path is no readable file.
    """
    try:
        return {"bytes": Path(path).read_bytes(), "path": Path(path).name}
    except (OSError, ValueError) as error:
        raise DataError(
            f"{key}: cannot embed {path!r}: {error}; only files on this machine can be embedded"
        ) from error


def unpack_picture(cell: object, folder: Path) -> str:
    """The path that a cell names, its bytes written below `folder` if they are not yet there.

    Raises DataError if the cell is empty or `folder` cannot be written.
    """
    if isinstance(cell, str):
        return cell
    data, name = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (None, None)
    if not isinstance(data, bytes):
        if isinstance(name, str):
            return name
        raise DataError("a picture's cell holds neither bytes nor a path")
    suffix = Path(name).suffix.lower() if isinstance(name, str) else ""
    suffix = suffix if _SUFFIX.fullmatch(suffix) else ""
    path = folder / f"{hashlib.sha256(data).hexdigest()[:32]}{suffix}"
    _write_once(path, data)
    return str(path)


def _write_once(path: Path, data: bytes) -> None:
    if path.is_file() and path.stat().st_size == len(data):
        return
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise DataError(
            f"cannot unpack a picture to {path}: {error.strerror}; pass pictures=FOLDER"
        ) from error
