"""What a source of pictures is, by a listing alone: nothing is opened but a folder."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path, PurePosixPath

from beholder._inputs.archives import ARCHIVES, expanded
from beholder._inputs.folders import InOrder, any_file, walk
from beholder._inputs.picture_arrays import ARRAYS
from beholder._inputs.picture_names import HEAD, SUFFIX, is_picture_name
from beholder._inputs.records import MANIFESTS
from beholder._inputs.remote_files import below, fixed_part, matching
from beholder.errors import DataError
from beholder.storage import Place, Stamp, is_remote

PACKED = (*ARCHIVES, *ARRAYS)
"""Suffixes of files that hold many pictures."""

_NO_PICTURE = (*ARCHIVES, ".parquet")


@dataclass(frozen=True, slots=True)
class Archives:
    """Archives and files of arrays, in order; `prefixes` stand before the keys of each.

    `stamps` are those of remote ones, which the listing told; a local file is asked itself.
    """

    name: str
    places: Sequence[Place]
    prefixes: Sequence[str]
    stamps: Mapping[str, Stamp]


@dataclass(frozen=True, slots=True)
class Tables:
    """Parquet files, in order; paths of pictures are relative to `root`.

    `stamps` are those of remote ones, as of `Archives`.
    """

    name: str
    places: Sequence[Place]
    root: Place
    stamps: Mapping[str, Stamp] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A CSV, TSV or JSON-lines file."""

    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class Saved:
    """A folder written by `Dataset.save_to_disk`."""

    path: Path


@dataclass(frozen=True, slots=True)
class Pictures:
    """Picture files, found anew at each call; keys are relative to `root`."""

    root: Path
    found: Callable[[], Iterator[Path]]


@dataclass(frozen=True, slots=True)
class RemotePictures:
    """Picture files in another place; `names` are relative to `root`, `stamps` as listed."""

    root: Place
    names: Sequence[str]
    stamps: Sequence[Stamp] = ()


Source = Archives | Tables | Manifest | Saved | Pictures | RemotePictures


def classified(source: str | os.PathLike[str]) -> Source:
    """What a path, pattern or address is; DataError if there is nothing of use."""
    address = os.fspath(source)
    if is_remote(address):
        return _remote(address)
    address = Place(address).path
    path = Path(address)
    if path.is_dir():
        return _folder(path)
    if path.exists():
        return _file(path)
    if glob.has_magic(address) or (is_packed(address) and "{" in path.name):
        return _pattern(address)
    raise DataError(
        f"{source} does not exist; give a folder, picture, glob, manifest, data set or archive"
    )


def is_packed(address: str) -> bool:
    """Whether a name says that it holds many pictures."""
    return address.lower().endswith(PACKED)


def is_picture(path: Path) -> bool:
    """Whether a file's suffix or first bytes say that it is a picture; hidden files are not."""
    if path.name.startswith(".") or path.is_dir():
        return False
    return _named_or_begins_so(path)


def archives(
    name: str, places: Sequence[Place], stamps: Mapping[str, Stamp] | None = None
) -> Archives:
    """Several archives as one source; their keys begin with their paths, if there are several."""
    prefixes = [""] if len(places) == 1 else list(_prefixes(places))
    return Archives(name, places, prefixes, stamps or {})


def _prefixes(places: Sequence[Place]) -> Iterator[str]:
    paths = [place.absolute for place in places]
    folders = [path.split("/")[:-1] for path in paths]
    least, most = min(folders), max(folders)  # what these share, all share
    both = zip(least, most, strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))
    return ("/".join(path.split("/")[shared:]) + "/" for path in paths)


def _file(path: Path) -> Source:
    if is_packed(path.name):
        return archives(path.name, [Place(path)])
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return Tables(path.name, [Place(path)], Place(path.parent))
    if suffix in MANIFESTS:
        return Manifest(path.name, Place(path))
    return Pictures(path.parent, lambda: iter([path]))


def _folder(path: Path) -> Source:
    if (path / "dataset_dict.json").is_file():
        splits = sorted(p.name for p in path.iterdir() if p.is_dir())
        raise DataError(f"{path} holds the splits {', '.join(splits)}; give one, such as {path}/…")
    if (path / "state.json").is_file() and (path / "dataset_info.json").is_file():
        return Saved(path)
    if not any(map(_counts_as_picture, any_file(path))):
        if files := _ending(path, (".parquet",)):
            return Tables(path.name, files, Place(path))
        if files := _ending(path, ARCHIVES):
            return archives(path.name, files)
    return Pictures(path, lambda: filter(_named_or_begins_so, walk(path)))


def _counts_as_picture(path: str) -> bool:
    return not path.lower().endswith(_NO_PICTURE) and _named_or_begins_so(Path(path))


def _ending(folder: Path, suffixes: tuple[str, ...]) -> list[Place]:
    """Regular files below a folder whose names end so, in order."""
    found = (
        f"{where}/{name}"
        for where, _, files in os.walk(folder)
        for name in files
        if name.lower().endswith(suffixes)
    )
    regular = filter(os.path.isfile, found)  # pathlib takes ten times as long for 100,000 names
    return [Place(path) for path in _by_parts(regular)]


def _pattern(pattern: str) -> Source:
    if is_packed(pattern):
        return archives(pattern, [Place(path) for path in expanded(pattern)])
    fixed = pattern[: min(pattern.index(c) for c in "*?[" if c in pattern)]
    root = Path(os.path.dirname(fixed) or ".")  # noqa: PTH120  (Path drops a trailing slash)

    def found() -> Iterator[Path]:
        paths = InOrder()
        for path in glob.iglob(pattern, recursive=True):  # noqa: PTH207
            paths.add(path)
        return filter(is_picture, map(Path, paths))

    return Pictures(root, found)


def _named_or_begins_so(path: Path) -> bool:
    return is_picture_name(path.name, lambda: _head(path))


def _head(path: Path) -> bytes:
    if not path.is_file():
        return b""
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def _remote(address: str) -> Source:
    if is_packed(address):
        found = matching(address)
        return archives(PurePosixPath(address).name, [Place(one) for one in found], found)
    place = Place(address)
    suffix = PurePosixPath(place.path).suffix.lower()
    if suffix == ".parquet":
        found = matching(address)
        return Tables(place.name, [Place(one) for one in found], fixed_part(address), found)
    if suffix in MANIFESTS:
        return Manifest(place.name, place)
    if SUFFIX.fullmatch(suffix):
        found, root = matching(address), fixed_part(address)
        return RemotePictures(root, _relative(found, root), list(found.values()))
    return _remote_folder(place)


def _remote_folder(folder: Place) -> Source:
    found = below(folder)
    names = sorted((n for n in found if _is_shown(n)), key=_in_walk)
    if pictures := [n for n in names if SUFFIX.fullmatch(PurePosixPath(n).suffix)]:
        return RemotePictures(folder, pictures, [found[n] for n in pictures])
    if tables := _by_parts(n for n in names if n.lower().endswith(".parquet")):
        stamps = {str(folder / n): found[n] for n in tables}
        return Tables(folder.name, [folder / n for n in tables], folder, stamps)
    if packed := _by_parts(n for n in names if n.lower().endswith(ARCHIVES)):
        stamps = {str(folder / n): found[n] for n in packed}
        return archives(folder.name, [folder / n for n in packed], stamps)
    raise DataError(f"there is no picture in {folder}")


def _is_shown(name: str) -> bool:
    return not any(part.startswith(".") for part in name.split("/"))


def _in_walk(name: str) -> list[tuple[bool, str]]:
    """Sorts as a folder is read: its files by name, then its subfolders."""
    *folders, file = name.split("/")
    return [*((True, folder) for folder in folders), (False, file)]


def _by_parts(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: name.replace("/", "\0"))


def _relative(addresses: Iterable[str], root: Place) -> list[str]:
    start = len(root.path.rstrip("/")) + 1
    return [Place(address).path[start:] for address in addresses]
