"""Remote files by a pattern or a folder, and their contents ahead of their use."""

from __future__ import annotations

import glob
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from beholder._ahead import ahead
from beholder._inputs.archives import braces
from beholder._inputs.rows import Row
from beholder.errors import DataError, ImageError
from beholder.images import LIMITS, ImageSource
from beholder.storage import Place, Stamp, stamp_of_info

TRIES = 3
"""How often a picture is asked for before its row has an error."""

PAUSE_SECONDS = 0.5
"""Waited before the second time, and twice as long before the third."""

_AT_ONCE = 16
_WAITING = 64


def matching(pattern: str) -> Mapping[str, Stamp]:
    """Address -> stamp of the files of a pattern of braces and stars, in its order.

    Each folder that it names is listed once. DataError if a name of its braces does not exist.
    """
    listed: dict[str, Mapping[str, Stamp]] = {}
    found: dict[str, Stamp] = {}
    for name in braces(pattern):
        if glob.has_magic(name):
            some = _globbed(name)
        else:
            folder = Place(name).parent
            if str(folder) not in listed:
                listed[str(folder)] = _directly_in(folder)
            stamp = listed[str(folder)].get(Place(name).path)
            some = {} if stamp is None else {name: stamp}
        if not some:
            raise DataError(f"there is no {name}, of {pattern}")
        found |= some
    return found


def below(folder: Place) -> Mapping[str, Stamp]:
    """Path relative to a folder -> stamp of every file below it, in no order."""
    found = _asked(folder, lambda: folder.system.find(folder.path, detail=True))
    start = len(folder.path.rstrip("/")) + 1
    return {path[start:]: stamp_of_info(info) for path, info in found.items() if path[start:]}


def fetch_each(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows in order, those whose picture is an address with its bytes or why it has none.

    The next ones are fetched meanwhile, in bounded memory.
    """
    for row, picture in ahead(_picture, rows, most=_WAITING, size=_size, threads=_AT_ONCE):
        yield replace(row, image=picture)


def _picture(row: Row) -> ImageSource | None:
    return fetch_picture(Place(row.image)) if isinstance(row.image, str) else row.image


def fetch_picture(place: Place) -> ImageSource:
    """The bytes of a remote picture, up to one over the limit, or why it cannot be had."""
    why = ImageError("unreadable", f"{place} was not asked")
    for attempt in range(TRIES):
        time.sleep(attempt * PAUSE_SECONDS)
        try:
            return place.head(LIMITS.bytes + 1)
        except DataError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return ImageError("missing", f"there is no {place}")
            why = ImageError("unreadable", str(error))
    return why


def _size(picture: ImageSource | None) -> int:
    return len(picture) if isinstance(picture, bytes) else 0


def fixed_part(pattern: str) -> Place:
    """The folder of a pattern above its braces and stars."""
    at = min((pattern.index(sign) for sign in "*?[{" if sign in pattern), default=len(pattern))
    return Place(f"{pattern[:at]}_").parent


def _globbed(pattern: str) -> dict[str, Stamp]:
    place, root = Place(pattern), fixed_part(pattern)
    start = len(root.path.rstrip("/")) + 1
    found = _asked(place, lambda: place.system.glob(place.path, detail=True))
    return {
        str(root / path[start:]): stamp_of_info(info)
        for path, info in sorted(found.items())
        if info.get("type") != "directory" and "/." not in path[start - 1 :]
    }


def _directly_in(folder: Place) -> Mapping[str, Stamp]:
    infos = _asked(folder, lambda: folder.system.ls(folder.path, detail=True))
    return {info["name"]: stamp_of_info(info) for info in infos}


def _asked(place: Place, ask: Any) -> Any:
    with place.reaching("listed"):
        place.system.invalidate_cache()
        return ask()
