"""What is taken for a picture, before anything is decoded: its suffix, or else its first bytes."""

from __future__ import annotations

import re
from collections.abc import Callable

SUFFIX = re.compile(
    r"\.(jpe?g|jpe|jfif|mpo|a?png|webp|gif|bmp|dib|tiff?|avif|hei[cf]|jxl|jp2|p[gp]m|tga|ico)", re.I
)
"""Files that are rows even if they cannot be read; a format that is refused says so in its row."""
HEAD = 16
"""How many of the first bytes are looked at."""


def is_picture_name(name: str, head: Callable[[], bytes]) -> bool:
    """Whether a file's suffix, or else what `head` gives, its first `HEAD` bytes, says so."""
    return SUFFIX.fullmatch(suffix_of(name)) is not None or _begins_like_one(head())


def suffix_of(name: str) -> str:
    """What `pathlib` calls the suffix of a name with "/" between its parts, many times faster."""
    last = name[name.rfind("/") + 1 :]
    dot = last.rfind(".")
    return last[dot:] if 0 < dot < len(last) - 1 else ""


def _begins_like_one(head: bytes) -> bool:
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF87a", b"GIF89a"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[:2] == b"BM" and head[6:10] == bytes(4))
    )
