"""Names of files out of keys: none leads out of the folder, none is odd, none occurs twice."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from beholder._inputs.picture_files import picture_format
from beholder._inputs.picture_names import SUFFIX
from beholder.errors import ImageError

_LONGEST = 150
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "BMP": ".bmp", "WEBP": ".webp"}


class Names:
    """Relative paths that were given; a second of the same letters gets "-2", large or small.

    Args:
        dots: whether a stem may hold dots, which webdataset takes for the end of it.
    """

    def __init__(self, *, dots: bool = True) -> None:
        self._taken: set[str] = set()
        self._odd = r"[^\w.\- ]" if dots else r"[^\w\- ]"

    def stem(self, key: str, suffix: str) -> str:
        """A relative path without its suffix."""
        parts = PurePosixPath(key.removesuffix(suffix)).parts
        parts = tuple(re.sub(self._odd, "_", part).strip(". ")[:_LONGEST] for part in parts)
        stem = "/".join(part for part in parts if part and part != "_") or "picture"
        name, number = stem, 1
        while f"{name}{suffix}".lower() in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(f"{name}{suffix}".lower())
        return name


def suffix_of(image: str, data: bytes) -> str:
    """The suffix of a picture: that of its name, or else what its first bytes say; or none."""
    suffix = PurePosixPath(image).suffix
    if SUFFIX.fullmatch(suffix):
        return suffix
    try:
        return _SUFFIXES[picture_format(data)]
    except ImageError:
        return ""
