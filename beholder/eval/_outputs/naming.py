"""Names of files out of keys: none leads out of the folder, is odd or too long, or occurs twice."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

from beholder._inputs.picture_files import picture_format
from beholder._inputs.picture_names import SUFFIX
from beholder.errors import ImageError

_LONGEST = 150
"""Bytes of one part of a path: disks take 255, of which a suffix and a number want some."""

_DEEPEST = 1000
"""Bytes of a relative path: systems take 4096, of which the folder wants some."""

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "BMP": ".bmp", "WEBP": ".webp"}


class Names:
    """Relative paths that were given; a second of the same letters gets "-2", large or small.

    A path that is a file is no folder of another: with "x.png" given, "x.png/y" is "x.png-2/y".

    Args:
        dots: whether a stem may hold dots, which webdataset takes for the end of it.
    """

    def __init__(self, *, dots: bool = True) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._end = "" if dots else "."  # what follows a stem without a suffix, so it is no folder
        self._odd = r"[^\w.\- ]" if dots else r"[^\w\- ]"

    def stem(self, key: str, suffix: str) -> str:
        """A relative path without its suffix; of a deep one its last parts."""
        parts = [self._plain(part) for part in PurePosixPath(key.removesuffix(suffix)).parts]
        *folders, last = _last([part for part in parts if part and part != "_"] or ["picture"])
        above = ""
        for folder in folders:
            place = self._free(above + folder, "", [self._files])
            self._folders.add(_same(place))
            above = f"{place}/"
        end = suffix or self._end
        name = self._free(above + last, end, [self._files, self._folders])
        self._files.add(_same(name + end))
        return name

    def _plain(self, part: str) -> str:
        return _cut(re.sub(self._odd, "_", part).strip(". ")).rstrip(". ")

    def _free(self, stem: str, end: str, taken: Sequence[set[str]]) -> str:
        """The stem, with a number where that is taken."""
        same = _same(stem + end)
        if not any(same in paths for paths in taken):
            return stem
        # a folder keeps its number, a file goes on from the last one that was given
        number = self._numbers.get(same, 2) if len(taken) > 1 else 2
        while any(_same(f"{stem}-{number}{end}") in paths for paths in taken):
            number += 1
        self._numbers[same] = number
        return f"{stem}-{number}"


def _cut(part: str) -> str:
    return part.encode()[:_LONGEST].decode(errors="ignore")


def _last(parts: list[str]) -> list[str]:
    while len("/".join(parts).encode()) > _DEEPEST:
        parts = parts[1:]
    return parts


def _same(path: str) -> str:
    """What two paths share that are one on some disk."""
    return unicodedata.normalize("NFC", path).casefold()


def suffix_of(image: str, data: bytes) -> str:
    """The suffix of a picture: that of its name, or else what its first bytes say; or none."""
    suffix = PurePosixPath(image).suffix
    if SUFFIX.fullmatch(suffix):
        return suffix
    try:
        return _SUFFIXES[picture_format(data)]
    except ImageError:
        return ""
