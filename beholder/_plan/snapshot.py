"""What a source was when it was planned: how many files, and a digest of their names and stamps."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from beholder._ahead import ahead
from beholder._inputs.sources import Archives, Pictures, RemotePictures, Saved, Source, Tables
from beholder.storage import Place, Stamp, stamp_of_file

_AT_ONCE = 16
_DIGEST = 16  # bytes

Stamped = Iterator[tuple[str, Stamp]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a source was.

    Attributes:
        files: archives, tables or pictures; of a manifest 1.
        digest: changes with the names of files, their sizes and times or marks.
    """

    files: int
    digest: str


def is_costly(source: Source) -> bool:
    """Whether a snapshot lists pictures, of which there may be millions."""
    return isinstance(source, (Pictures, RemotePictures))


def snapshot(source: Source, *, has_own_prompts: bool) -> Snapshot:
    """What a source is now, by a listing; nothing is opened, and memory stays flat.

    Pictures that a manifest or table names are not looked at.

    Args:
        source: what is scored.
        has_own_prompts: whether text files beside pictures are their prompts.

    Raises:
        DataError: if a file cannot be asked.
    """
    digest, files = hashlib.blake2b(digest_size=_DIGEST), 0
    for name, stamp in _stamped(source, has_own_prompts):
        digest.update(f"{name}\0{stamp.size}\0{stamp.mark}\0".encode("utf-8", "surrogatepass"))
        files += 1
    return Snapshot(files, digest.hexdigest())


def _stamped(source: Source, has_own_prompts: bool) -> Stamped:
    if isinstance(source, RemotePictures):
        return zip(source.names, source.stamps, strict=True)
    if isinstance(source, Pictures):
        return _pictures(source, has_own_prompts)
    if isinstance(source, Saved):
        return _below(source.path)
    if isinstance(source, (Archives, Tables)):
        return _places(source.places, source.stamps)
    return _places([source.place], {})


def _places(places: Sequence[Place], stamps: Mapping[str, Stamp]) -> Stamped:
    """Of remote files several are asked at once, unless the listing told their stamps."""
    if any(place.is_remote and place.address not in stamps for place in places):
        for place, stamp in ahead(Place.stamp, places, most=_AT_ONCE, size=_none, threads=_AT_ONCE):
            yield place.address, stamp
        return
    for place in places:
        yield place.absolute, stamps.get(place.address) or _quickly(place)


def _quickly(place: Place) -> Stamp:
    """The stamp of a local file, of which there may be a hundred thousand."""
    try:
        return stamp_of_file(os.stat(place.absolute))  # noqa: PTH116
    except OSError:
        return place.stamp()


def _none(stamp: Stamp) -> int:
    return 0


def _pictures(source: Pictures, has_own_prompts: bool) -> Stamped:
    for path in source.found():
        with suppress(OSError):  # such as a link to nothing
            yield str(path), stamp_of_file(path.stat())
        if has_own_prompts:
            text = os.path.splitext(path)[0] + ".txt"  # noqa: PTH122
            with suppress(OSError):
                yield text, stamp_of_file(os.stat(text))  # noqa: PTH116


def _below(folder: Path) -> Stamped:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path), stamp_of_file(path.stat())
