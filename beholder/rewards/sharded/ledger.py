"""Which shards are done: quick for a hundred thousand, right when the notes about them are lost.

A shard is done if its file is there and its footer says so. Opening every file of a long run takes
minutes, so whoever finished or opened one notes its footer in `_run/ledger.jsonl` with the file's
size and time. A note is believed while both still agree; files without a note are opened.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beholder._run_folder import Run, RunFolder, Shard, footer_among, is_done
from beholder.errors import DataError
from beholder.storage import Place

SUFFIX = ".parquet"
_THREADS = 16


@dataclass(frozen=True, slots=True)
class Note:
    """A file as it was when its footer was read.

    Attributes:
        mark: of a local file its time in nanoseconds; elsewhere what `Place.stamp` says.
        footer: what the file says of itself.
    """

    size: int
    mark: str
    footer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """What is kept of a finished shard."""

    rows: int
    errors: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run is.

    Attributes:
        done: finished shards by name.
    """

    done: Mapping[str, Done] = field(default_factory=dict)

    @property
    def with_errors(self) -> frozenset[str]:
        """Finished shards with rows that could not be scored."""
        return frozenset(n for n, d in self.done.items() if any(c for c in d.errors.values()))


class Ledger:
    """Notes of finished shards, added as they come."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._place = folder.ledger_file()
        self._waiting: list[str] = []

    def add(self, footer: Mapping[str, Any]) -> None:
        """Note a file that was just written or opened."""
        place = self._folder.scores(footer["shard"])
        self._put(_line(Note(*_stamp(place), footer)))

    def note_all(self, notes: Iterable[Note]) -> None:
        """Note files that were opened."""
        lines = "".join(map(_line, notes))
        if lines:
            self._put(lines)
            self.close()

    def _put(self, lines: str) -> None:
        """On a disk a note is there at once; elsewhere when this is closed."""
        if self._place.is_remote:
            self._waiting.append(lines)
        else:
            _append(Path(self._place.path), lines)

    def close(self) -> None:
        """Write what waits."""
        if self._waiting:
            before = self._place.read() if self._place.exists() else b""
            self._place.write(before + "".join(self._waiting).encode())
            self._waiting.clear()


def pending(folder: RunFolder, run: Run) -> list[Shard]:
    """The shards that are not done, in order."""
    shards = list(folder.plan())
    done = standing(folder, run.config_hash, shards).done
    return [shard for shard in shards if shard.name not in done]


def standing(folder: RunFolder, config_hash: str, shards: Sequence[Shard]) -> Standing:
    """Which of the shards are done by this configuration; notes what it had to open."""
    with _without_collection():
        files = dict(_files(folder))
        notes = _notes(folder) if files else {}
        wanted = {s.name: s for s in shards if s.name in files}
        known = {n: notes[n] for n in wanted if n in notes and _agrees(notes[n], files[n])}
        opened = _opened(folder, {n: files[n] for n in wanted if n not in known})
        Ledger(folder).note_all(opened.values())
        return Standing(
            {
                name: Done(note.footer["rows"], note.footer["errors"])
                for name, note in (known | opened).items()
                if is_done(note.footer, wanted[name], config_hash)
            }
        )


@contextmanager
def _without_collection() -> Iterator[None]:
    """Notes are many objects without cycles: to look for some takes as long as to read them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def footer_of(place: Place) -> dict[str, Any]:
    """What a file says of itself; empty if it is no parquet file or none of ours."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        if not place.is_remote:
            return footer_among(pq.read_metadata(place.path).metadata)
        with place.open() as file:
            return footer_among(pq.read_metadata(file).metadata)
    except (pa.ArrowException, OSError, DataError, json.JSONDecodeError):
        return {}


def _opened(folder: RunFolder, files: Mapping[str, tuple[int, str]]) -> dict[str, Note]:
    footers = _footers([folder.scores(name) for name in files])
    found = zip(files.items(), footers, strict=True)
    return {name: Note(*stamp, said) for (name, stamp), said in found if said}


def _footers(places: Sequence[Place]) -> Iterator[dict[str, Any]]:
    """Parsing holds the interpreter, so that threads help only where files are far away."""
    if places and places[0].is_remote:
        with ThreadPoolExecutor(_THREADS) as pool:
            yield from pool.map(footer_of, places)
    else:
        yield from map(footer_of, places)


def _files(folder: RunFolder) -> Iterator[tuple[str, tuple[int, str]]]:
    """Names of the score files, with size and mark."""
    place = folder.place
    if place.is_remote:
        listed = place.system.ls(place.path, detail=True) if place.exists() else []
        for info in listed:
            name = str(info["name"]).rpartition("/")[2]
            if name.endswith(SUFFIX):
                yield name.removesuffix(SUFFIX), (int(info.get("size") or 0), _mark(info))
        return
    if not Path(place.path).is_dir():
        return
    with os.scandir(place.path) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX) and not entry.name.startswith("."):
                stat = entry.stat()
                yield entry.name.removesuffix(SUFFIX), (stat.st_size, str(stat.st_mtime_ns))


def _stamp(place: Place) -> tuple[int, str]:
    if not place.is_remote:
        stat = Path(place.path).stat()
        return stat.st_size, str(stat.st_mtime_ns)
    info = place.system.info(place.path)
    return int(info.get("size") or 0), _mark(info)


def _mark(info: Mapping[str, Any]) -> str:
    marks = (info.get(name) for name in ("ETag", "etag", "md5Hash", "mtime", "LastModified"))
    return next((str(mark) for mark in marks if mark), "")


def _agrees(note: Note, stamp: tuple[int, str]) -> bool:
    return bool(note.mark) and (note.size, note.mark) == stamp


def _notes(folder: RunFolder) -> dict[str, Note]:
    """The last note of each shard; a line that was cut off by a kill is none."""
    place = folder.ledger_file()
    if not place.exists():
        return {}
    notes: dict[str, Note] = {}
    with place.open() as file:
        for note in _readable(file):
            notes[str(note.footer.get("shard"))] = note
    return notes


def _readable(lines: Iterable[bytes]) -> Iterator[Note]:
    for line in lines:
        try:
            size, mark, footer = json.loads(line)
        except (ValueError, TypeError):  # no JSON, no UTF-8, no list of three
            continue
        if isinstance(footer, dict) and {"shard", "rows", "errors"} <= footer.keys():
            yield Note(size, mark, footer)


def _line(note: Note) -> str:
    return json.dumps([note.size, note.mark, dict(note.footer)]) + "\n"


def _append(path: Path, lines: str) -> None:
    """Add lines by one write, after the end of a line that was cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                lines = "\n" + lines
        file.write(lines.encode())
