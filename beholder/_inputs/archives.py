"""Pictures of ZIP and tar archives, one after another; nothing is ever written to the disk.

A member is a picture by the rule for files of a folder; hidden ones and `__MACOSX` are left out.
Members come as files of a folder do: by name, then the subfolders. Beside `NAME.jpg`, `NAME.txt` is
its prompt, `NAME.json` an object of further columns, or of the prompt, and `NAME.cls` its label;
`NAME` may also be what stands before the first dot, as in webdataset's shards. A column of the
object that would hide another, such as `key`, is named `json.key`. A member that cannot be read is
a row whose picture fails with the reason; an archive that cannot be read is an error.
"""

from __future__ import annotations

import glob
import lzma
import re
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import BinaryIO, cast

from beholder._inputs.picture_names import HEAD, is_picture_name, suffix_of
from beholder._inputs.records import column_of, name_of_column, parsed
from beholder.errors import DataError, ImageError
from beholder.images import LIMITS, ImageSource

ARCHIVES = (".zip", ".tar")
_SIDECARS = (".txt", ".json", ".cls")
_UNPACKING_FAULTS = (
    OSError,
    EOFError,
    RuntimeError,  # also NotImplementedError, for a method of packing that zipfile does not know
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_WINDOW = 2**18
_ZIP_END = 22  # bytes of the last record, before a comment
_MANY = 2**16 - 1  # stands for any larger number of files
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One picture of an archive.

    Attributes:
        key: unique in its archive.
        image: its encoded bytes, an array, or why it cannot be read.
        prompt: None if the archive has none.
        extra: further columns.
    """

    key: str
    image: ImageSource
    prompt: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PackedPictures:
    """The pictures of one ZIP or tar archive, read anew at each iteration.

    Attributes:
        path: of the archive.
        count: how many there are.
    """

    path: Path
    count: int

    def __iter__(self) -> Iterator[Member]:
        return packed_members(self.path)


def packed_members(path: Path) -> Iterator[Member]:
    """Each picture of a ZIP or tar archive, whose list of members is read once, at the first.

    Raises DataError as `packed_pictures` does.
    """
    with _opened(path) as archive:
        beside = {e.name: e for e in archive.entries if _suffix(e.name) in _SIDECARS}
        for key, entry in _keyed(archive):
            yield _member(archive, entry, key, beside)


@contextmanager
def packed_images(path: Path) -> Iterator[Callable[[str], ImageSource]]:
    """What gives the picture of a key, or why it has none, from a ZIP or tar archive held open.

    Raises DataError as `packed_pictures` does.
    """
    with _opened(path) as archive:
        entries = dict(_keyed(archive))

        def image(key: str) -> ImageSource:
            if key not in entries:
                return ImageError("missing", f"its archive {path} has no picture {key!r}")
            return _image(archive, entries[key])

        yield image


def packed_pictures(path: Path) -> PackedPictures:
    """The pictures of a ZIP or tar archive, whose list of members is read at once.

    Raises DataError if the archive is damaged, cut off, encrypted, or compressed as a whole.
    """
    with _opened(path) as archive:
        return PackedPictures(path, len(_pictures(archive)))


def expanded(pattern: str) -> list[Path]:
    """The files of a pattern: "{000..003}" and "{a,b}" are expanded, then "*", "?" and "[…]".

    Raises DataError if one of those that the braces name does not exist.
    """
    found: list[Path] = []
    for name in braces(pattern):
        paths = [Path(p) for p in sorted(glob.glob(name, recursive=True))]  # noqa: PTH207
        if not paths:
            raise DataError(f"there is no {name}, of {pattern}")
        found += paths
    return found


def braces(pattern: str) -> Iterator[str]:
    """The names that "{000..003}" and "{a,b}" of a pattern stand for, in their order."""
    choices = [_choices(part) for part in _BRACES.split(pattern)[1::2]]
    between = _BRACES.split(pattern)[::2]
    for chosen in product(*choices):
        yield "".join(a + b for a, b in zip(between, [*chosen, ""], strict=True))


def _choices(braced: str) -> list[str]:
    if span := _RANGE.fullmatch(braced):
        first, last = span.groups()
        return [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
    return braced.split(",")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file in an archive; `at` is where it begins, None for a link, device or sparse file."""

    name: str
    size: int
    at: zipfile.ZipInfo | int | None


@dataclass(frozen=True, slots=True)
class _Archive:
    """An open archive: its files, and up to so many bytes of one; ImageError if it is damaged."""

    entries: list[_Entry]
    read: Callable[[_Entry, int], bytes]


@contextmanager
def _opened(path: Path) -> Iterator[_Archive]:
    with _zip(path) if _suffix(path.name) == ".zip" else _tar(path) as archive:
        yield archive


@contextmanager
def _zip(path: Path) -> Iterator[_Archive]:
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise DataError(f"{path} is damaged, cut off or no ZIP archive: {error}") from error
    with file:
        if _announced(path) not in {len(file.infolist()), _MANY}:
            raise DataError(f"{path} is damaged: its list of files has not as many as it announces")
        files = [info for info in file.infolist() if not info.is_dir()]
        if any(info.flag_bits & 1 for info in files):
            raise DataError(f"{path} is encrypted; unpack it and give the folder")
        entries = [_Entry(_inside(info.filename), info.file_size, info) for info in files]
        yield _Archive(entries, lambda entry, most: _unzipped(file, entry, most))


def _announced(path: Path) -> int:
    """How many files a ZIP archive says it has, up to `_MANY`; zipfile does not look at it."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _ZIP_END - 2**16))
        tail = file.read()
    at = tail.rindex(b"PK\x05\x06") + 10
    return int.from_bytes(tail[at : at + 2], "little")


def _unzipped(file: zipfile.ZipFile, entry: _Entry, most: int) -> bytes:
    try:
        with file.open(cast("zipfile.ZipInfo", entry.at)) as member:
            return member.read(most)
    except _UNPACKING_FAULTS as error:
        raise ImageError("corrupt", f"it is damaged in its archive: {error}") from error


@contextmanager
def _tar(path: Path) -> Iterator[_Archive]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error}") from error
    with file:
        entries, window = _tar_entries(path, file), _Window(file)
        yield _Archive(entries, lambda entry, most: _span(window, entry, most))


class _Window:
    """Bytes of a file from anywhere; of members side by side, many by one reading."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at, self._bytes = 0, b""

    def read(self, at: int, size: int) -> bytes:
        """Up to `size` bytes from `at` on; fewer where the file ends."""
        start = at - self._at
        if not 0 <= start <= start + size <= len(self._bytes):
            is_near = abs(start) <= _WINDOW
            self._file.seek(at)
            self._bytes = self._file.read(max(size, _WINDOW) if is_near else size)
            self._at, start = at, 0
        return self._bytes[start : start + size]


def _tar_entries(path: Path, file: BinaryIO) -> list[_Entry]:
    if file.read(6).startswith(_COMPRESSED):
        raise DataError(f"{path} is compressed as a whole, which pictures gain nothing by; undo it")
    file.seek(0)
    try:
        with tarfile.TarFile(fileobj=file) as members:
            entries = [_tar_entry(info) for info in members if not info.isdir()]
            end = members.offset
    except (tarfile.TarError, OSError, ValueError) as error:
        raise DataError(f"{path} is damaged, cut off or no tar archive: {error}") from error
    file.seek(end)
    rest = file.read(2 * tarfile.RECORDSIZE)
    if len(rest) < tarfile.BLOCKSIZE or any(rest):  # tarfile stops there without a word
        raise DataError(f"{path} is damaged or cut off at byte {end}; write or download it again")
    return entries


def _tar_entry(info: tarfile.TarInfo) -> _Entry:
    is_plain = info.isreg() and not info.issparse()
    return _Entry(_inside(info.name), info.size, info.offset_data if is_plain else None)


def _span(window: _Window, entry: _Entry, most: int) -> bytes:
    if not isinstance(entry.at, int):
        raise ImageError(
            "not-a-file", "it is a link, device or sparse in its archive; pack the picture itself"
        )
    try:
        return window.read(entry.at, min(entry.size, most))
    except OSError as error:
        raise ImageError("unreadable", f"its archive cannot be read: {error}") from error


def _inside(name: str) -> str:
    """A member's name without what would lead out of a folder."""
    return "/".join(part for part in name.split("/") if part not in {"", ".", ".."})


def _suffix(name: str) -> str:
    return suffix_of(name).lower()


def _keyed(archive: _Archive) -> Iterator[tuple[str, _Entry]]:
    """Each picture with its key: its name, and "#2", "#3", ... where that is repeated."""
    seen: Counter[str] = Counter()
    for entry in _pictures(archive):
        seen[entry.name] += 1
        yield entry.name + (f"#{seen[entry.name]}" if seen[entry.name] > 1 else ""), entry


def _pictures(archive: _Archive) -> list[_Entry]:
    found = [entry for entry in archive.entries if _is_picture(archive, entry)]
    return sorted(found, key=lambda entry: _place(entry.name))


def _is_picture(archive: _Archive, entry: _Entry) -> bool:
    parts = entry.name.split("/")
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return False
    if _suffix(entry.name) in _SIDECARS:
        return False
    try:
        return is_picture_name(entry.name, lambda: _head(archive, entry))
    except ImageError:
        return True  # nobody knows what was there: rather a row too many than a picture lost


def _head(archive: _Archive, entry: _Entry) -> bytes:
    return b"" if entry.at is None else archive.read(entry, HEAD)


def _place(name: str) -> list[tuple[bool, str]]:
    """Sorts as a folder is read: its files by name, then its subfolders."""
    *folders, file = name.split("/")
    return [*((True, folder) for folder in folders), (False, file)]


def _member(archive: _Archive, entry: _Entry, key: str, beside: Mapping[str, _Entry]) -> Member:
    try:
        prompt, extra = _columns(archive, entry.name, beside)
    except ImageError as error:
        return Member(key=key, image=ImageError(error.code, str(error)))
    return Member(key=key, image=_image(archive, entry), prompt=prompt, extra=extra)


def _image(archive: _Archive, entry: _Entry) -> ImageSource:
    try:
        return archive.read(entry, LIMITS.bytes + 1)
    except ImageError as error:
        return ImageError(error.code, str(error))  # anew, without the frames of a traceback


def _columns(
    archive: _Archive, name: str, beside: Mapping[str, _Entry]
) -> tuple[str | None, dict[str, object]]:
    """The prompt and the further columns that stand beside a picture."""
    text, record, label = (_sidecar(archive, name, suffix, beside) for suffix in _SIDECARS)
    columns = {} if record is None else _object(record)
    prompt = None if text is None else text.strip()
    if text is None:
        said = columns.pop(column_of("prompt", columns) or "", None)
        prompt = None if said is None else str(said)
    taken = {"key", "image", "prompt", *(["label"] if label is not None else [])}
    columns = {f"json.{n}" if n in taken else n: value for n, value in columns.items()}
    if label is not None:
        columns["label"] = label.strip()
    return prompt, columns


def _sidecar(archive: _Archive, name: str, suffix: str, beside: Mapping[str, _Entry]) -> str | None:
    start = name.rfind("/") + 1
    short = start + len(name[start:].partition(".")[0])
    for end in (len(name) - len(suffix_of(name)), short):
        entry = beside.get(name[:end] + suffix)
        if entry is not None:
            return archive.read(entry, LIMITS.bytes).decode("utf-8-sig", "surrogateescape")
    return None


def _object(text: str) -> dict[str, object]:
    try:
        record = parsed(text)
    except (ValueError, RecursionError) as error:
        raise ImageError("corrupt", f"the .json beside it is no JSON: {error}") from error
    if not isinstance(record, dict):
        raise ImageError("corrupt", "the .json beside it is no object, as in {…}")
    return {name_of_column(name): value for name, value in record.items()}
