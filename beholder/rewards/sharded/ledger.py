"""Which shards are done: quick for a hundred thousand, right when the notes about them are lost.

A shard is done if its file is there and its footer says so. Opening every file of a long run takes
minutes, so whoever finished or opened one notes its footer with the file's stamp in a file of its
own under `_run/ledger`. A note is believed while both agree; files without a note are opened.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from beholder._run_folder import RUN, RunFolder, Shard, footer_among, is_done
from beholder.errors import DataError
from beholder.storage import Place, Stamp, stamp_of_file, stamp_of_info

SUFFIX = ".parquet"
_LOG = logging.getLogger(__name__)
_THREADS = 16
_BUNCH = 100  # notes of one file on an address
_BUNCH_SECONDS = 60.0

Files = Mapping[str, Stamp]
"""The score files that are there, by the names of their shards."""


class Note(NamedTuple):
    """A file as it was when its footer was read.

    Attributes:
        size, mark: see `storage.Stamp`.
        footer: what the file says of itself.
    """

    size: int
    mark: str
    footer: Mapping[str, Any]


class Done(NamedTuple):
    """What is kept of a finished shard."""

    rows: int
    errors: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run, or a rank's part of it, is.

    Attributes:
        shards: how many the plan has for it.
        done: finished shards by name.
        left: those that are not, in order; those to be scored again among them.
        again: finished shards that are to be scored again.
    """

    shards: int = 0
    done: Mapping[str, Done] = field(default_factory=dict)
    left: Sequence[Shard] = ()
    again: frozenset[str] = frozenset()


class Ledger:
    """Notes of finished shards, added as they come, in a file that nobody else writes.

    On a disk a note is there at once; at an address some together, so that a driver that is killed
    loses few. A note that cannot be written is left out: it only saves time.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._name = uuid.uuid4().hex[:12]
        self._waiting: list[str] = []
        self._bunches = 0
        self._written = time.monotonic()

    def add(self, footer: Mapping[str, Any]) -> None:
        """Note a file that was just written."""
        try:
            stamp = self._folder.scores(footer["shard"]).stamp()
        except DataError:  # it has gone again: then it is not done
            return
        self.note_all([Note(stamp.size, stamp.mark, footer)])

    def note_all(self, notes: Iterable[Note]) -> None:
        """Note files that were opened."""
        self._waiting += map(_line, notes)
        is_remote = self._folder.place.is_remote
        is_old = time.monotonic() - self._written > _BUNCH_SECONDS
        if not is_remote or is_old or len(self._waiting) >= _BUNCH:
            self.close()

    def close(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        try:
            self._write("".join(self._waiting))
        except (DataError, OSError) as error:
            _LOG.warning("no note of %d finished shards: %s", len(self._waiting), error)
        self._waiting.clear()
        self._written = time.monotonic()

    def _write(self, lines: str) -> None:
        parts = _parts(self._folder)
        if not parts.is_remote:
            _append(Path((parts / f"{self._name}.jsonl").path), lines)
            return
        (parts / f"{self._name}-{self._bunches:06d}.jsonl").write(lines.encode())
        self._bunches += 1


def standing(
    folder: RunFolder,
    config_hash: str,
    share: tuple[int, int] = (0, 1),
    *,
    with_errors_again: bool = False,
) -> Standing:
    """How far a run is by this configuration; notes what it had to open.

    Args:
        folder: of the run, planned.
        config_hash: of the configuration.
        share: (rank, world): shard k of the plan counts if k modulo world is the rank.
        with_errors_again: shards with rows that have errors are left, too.
    """
    with _without_collection():
        return _Look(folder, config_hash, with_errors_again).at(_planned(folder, share))


class _Look:
    """Holds the shards of a plan to the files and notes that are there."""

    def __init__(self, folder: RunFolder, config_hash: str, with_errors_again: bool) -> None:
        self._folder, self._hash, self._with_errors = folder, config_hash, with_errors_again
        self._files = dict(_files(folder))
        self._notes = _notes(folder, self._files) if self._files else {}

    def at(self, plan: Sequence[Shard]) -> Standing:
        """What is done of a plan, and what is left."""
        self._open_others(plan)
        done: dict[str, Done] = {}
        left, again = [], set()
        for shard in plan:
            said = self._notes.get(shard.name)
            if said is None or not is_done(said, shard, self._hash):
                left.append(shard)
                continue
            done[shard.name] = Done(said["rows"], said["errors"])
            if self._with_errors and any(map(_any, said["errors"].values())):
                left.append(shard)
                again.add(shard.name)
        return Standing(len(plan), done, left, frozenset(again))

    def _open_others(self, plan: Sequence[Shard]) -> None:
        unknown = [s.name for s in plan if s.name in self._files and s.name not in self._notes]
        footers = _footers([self._folder.scores(name) for name in unknown])
        opened = [(name, said) for name, said in zip(unknown, footers, strict=True) if said]
        self._notes.update(opened)
        book = Ledger(self._folder)
        book.note_all(Note(self._files[n].size, self._files[n].mark, said) for n, said in opened)
        book.close()


def _any(codes: Mapping[str, int]) -> bool:
    return any(codes.values())


def _planned(folder: RunFolder, share: tuple[int, int]) -> list[Shard]:
    """The shards of a share; DataError if the plan is absent or damaged."""
    rank, world = share
    with folder.plan_file().open() as file:
        lines = [line for k, line in enumerate(file) if k % world == rank]
    try:
        return [Shard(**said) for said in _objects(lines)]
    except (ValueError, TypeError):
        return [s for k, s in enumerate(folder.plan()) if k % world == rank]  # raises, says where


def _objects(lines: Sequence[bytes]) -> list[Any]:
    """What many lines of JSON say, several times as fast as one by one; ValueError if one fails."""
    found: list[Any] = json.loads(b"[" + b",".join(lines) + b"]")
    return found


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


def _footers(places: Sequence[Place]) -> Iterator[dict[str, Any]]:
    """Parsing holds the interpreter, so that threads help only where files are far away."""
    if places and places[0].is_remote:
        with ThreadPoolExecutor(_THREADS) as pool:
            yield from pool.map(footer_of, places)
    else:
        yield from map(footer_of, places)


def _files(folder: RunFolder) -> Iterator[tuple[str, Stamp]]:
    """Names of the score files, with their stamps."""
    place = folder.place
    if place.is_remote:
        listed = place.system.ls(place.path, detail=True) if place.exists() else []
        for info in listed:
            name = str(info["name"]).rpartition("/")[2]
            if name.endswith(SUFFIX):
                yield name.removesuffix(SUFFIX), stamp_of_info(info)
        return
    if not Path(place.path).is_dir():
        return
    with os.scandir(place.path) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX) and not entry.name.startswith("."):
                yield entry.name.removesuffix(SUFFIX), stamp_of_file(entry.stat())


def _notes(folder: RunFolder, files: Files) -> dict[str, Mapping[str, Any]]:
    """The footers of files that are as they were noted."""
    notes: dict[str, Mapping[str, Any]] = {}
    for contents in _contents(folder):
        for size, mark, said in _readable(contents):
            name = said["shard"]
            stamp = files.get(name)
            if stamp is not None and mark and stamp.size == size and stamp.mark == mark:
                notes[name] = said
    return notes


def _contents(folder: RunFolder) -> Iterator[bytes]:
    parts = _parts(folder)
    places = [parts / name for name in sorted(parts.names())]
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(Place.read, places)


def _parts(folder: RunFolder) -> Place:
    return folder.place / RUN / "ledger"


def _readable(contents: bytes) -> Iterator[Note]:
    """The notes of a file; a line that was cut off by a kill is none."""
    lines = [line for line in contents.splitlines() if line]
    try:
        found = _objects(lines)
    except ValueError:
        found = [note for line in lines for note in _object(line)]
    for note in found:
        if _is_note(note):
            yield Note(*note)


def _is_note(said: object) -> bool:
    if not isinstance(said, list) or len(said) != len(Note._fields):
        return False
    return isinstance(said[2], dict) and said[2].keys() >= {"shard", "rows", "errors"}


def _object(line: bytes) -> list[Any]:
    try:
        return _objects([line])
    except ValueError:  # no JSON, no UTF-8
        return []


def _line(note: Note) -> str:
    return json.dumps([note.size, note.mark, dict(note.footer)]) + "\n"


def _append(path: Path, lines: str) -> None:
    """Add lines by one write, to a file that has no other writer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(lines.encode())
