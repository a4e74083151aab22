"""Picture files on disk: read without hanging, recognised by their first bytes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from beholder.errors import ImageError

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
)
_KNOWN = "expected JPEG, PNG, WebP, GIF or BMP"
_HINTS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the picture; run `git lfs pull`"),
    (b"<!doctype html", "an HTML page, often the error page of a failed download"),
    (b"<html", "an HTML page, often the error page of a failed download"),
    (b"<svg", "an SVG drawing; render it to PNG first"),
    (b"<?xml", "an XML document, perhaps an SVG drawing; render it to PNG first"),
    (b"ii*\0", "a TIFF picture; convert it to PNG"),
    (b"mm\0*", "a TIFF picture; convert it to PNG"),
    (b"8bps", "a Photoshop document; export it as PNG"),
    (b"%pdf", "a PDF document; render it to PNG"),
    (b"%!ps", "a PostScript document; render it to PNG"),
    (b"\xff\x0a", "a JPEG XL picture; convert it to PNG"),
    (b"\0\0\0\x0cjxl ", "a JPEG XL picture; convert it to PNG"),
    (b"\0\0\0\x0cjp  ", "a JPEG 2000 picture; convert it to PNG"),
    (b"pk\x03\x04", "a ZIP archive; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
)
_HINTS_BY_BRAND = (
    ((b"heic", b"heix", b"hevc", b"mif1", b"msf1"), "a HEIC photograph; convert it to JPEG or PNG"),
    ((b"avif", b"avis"), "an AVIF picture; convert it to PNG"),
)


def read_file(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a regular file; never waits for a pipe or device.

    Raises ImageError "missing", "not-a-file", "unreadable" or, over `limit` bytes, "too-large".
    """
    try:
        with _open_regular(Path(path)) as file:
            check_bytes(os.fstat(file.fileno()).st_size, limit)
            data = file.read(limit)
    except ImageError:  # it is a ValueError too
        raise
    except PermissionError as error:
        raise ImageError("unreadable", "permission denied") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError("missing", _missing(os.fspath(path))) from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise ImageError("unreadable", f"cannot be opened ({type(error).__name__})") from error
    return data


def check_bytes(size: int, limit: int) -> None:
    """Raise ImageError "too-large" if `size` bytes are over the limit."""
    if size > limit:
        raise ImageError("too-large", f"{size:,} bytes are over the limit of {limit:,}")


def _open_regular(path: Path) -> BinaryIO:
    """The open file; asked twice what it is, since opening a device can already act on it."""
    _refuse_special(path.stat().st_mode)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    try:
        _refuse_special(os.fstat(file.fileno()).st_mode)
    except ImageError:
        file.close()
        raise
    return file


def _refuse_special(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        raise ImageError("not-a-file", f"{kind}, expected a regular file")


def _missing(name: str) -> str:
    if name.startswith("data:"):
        return "a path was expected; decode it to bytes first"
    if "://" in name[:12]:
        return "addresses are not fetched; download it first"
    return "no such file" if not Path(name).is_symlink() else "a link to a file that is missing"


def picture_format(data: bytes) -> str:
    """Pillow's name of the format, from the first bytes: JPEG, PNG, GIF, BMP or WEBP.

    Raises ImageError "empty", or "format" with a hint of what the bytes are instead.
    """
    if not data:
        raise ImageError("empty", "it has no bytes; write or download it again")
    for magic, kind in _SIGNATURES:
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise ImageError("format", f"{_hint(data[:512])}; {_KNOWN}")


def _hint(head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for start, hint in _HINTS:
        if text.startswith(start) or head.lower().startswith(start):
            return hint
    if head[4:8] == b"ftyp":
        return next((hint for brands, hint in _HINTS_BY_BRAND if head[8:12] in brands), "a video")
    return "not a known picture format"
