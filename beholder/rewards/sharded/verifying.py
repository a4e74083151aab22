"""Proof that a sharded run lost and repeated nothing: every file is read and held to its source.

A shard is in order if its file is there and whole, its footer names this configuration and the
source as planned, and it has one row for each input of the source, with distinct keys. To count the
inputs of a remote archive is to fetch it, so that remote sources are only asked for size and mark,
unless their counting is wanted. Memory stays flat: hashes of all keys are sorted on the disk.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from beholder._ahead import ahead
from beholder._plan.planning import changed
from beholder._plan.reading import shard_rows
from beholder._plan.repeats import Keys, hash_of
from beholder._run_folder import Run, RunFolder, Shard, is_done, read_footer
from beholder.errors import DataError
from beholder.rewards.sharded import attempts
from beholder.rewards.sharded.ledger import SUFFIX
from beholder.storage import Place, Stamp, is_remote
from beholder.tables import error_code

if TYPE_CHECKING:
    import os

    import pyarrow as pa

_THREADS = 4
_AHEAD = 8  # shards whose keys wait to be counted
_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What `verify` found.

    Attributes:
        shards: in the plan.
        rows: in the files that are in order.
        errors: reward -> error code -> rows.
        missing: shards without a file.
        failed: shards that were given up -> why.
        faults: shards whose file is not as it should be -> why.
        repeated: keys that occur in several shards, the first ten.
        strange: files that no shard of the plan has, which readers would take for scores.
        changed: how the source differs from the plan, "" if it does not.
    """

    shards: int
    rows: int
    errors: Mapping[str, Mapping[str, int]]
    missing: Sequence[str]
    failed: Mapping[str, str]
    faults: Mapping[str, str]
    repeated: Sequence[str]
    strange: Sequence[str]
    changed: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether every input has exactly one row."""
        lacks = self.missing or self.faults or self.repeated or self.strange
        return not (lacks or self.changed)

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        lists = {n: list(getattr(self, n)) for n in ("missing", "repeated", "strange")}
        errors = {reward: dict(codes) for reward, codes in self.errors.items()}
        found = {"failed": dict(self.failed), "faults": dict(self.faults), "errors": errors}
        counts = {"shards": self.shards, "rows": self.rows, "changed": self.changed}
        return {"sound": self.is_sound, **counts, **lists, **found}


def verify(
    folder: str | os.PathLike[str],
    *,
    count_sources: bool | None = None,
    progress: Callable[[int], object] | None = None,
) -> Verified:
    """Hold every shard's file to the plan and to its source.

    Args:
        folder: of a sharded run.
        count_sources: count the inputs of each source again; False believes the footers if size and
            mark of the source are as planned; None counts what is on a disk of this machine.
        progress: called with the number of shards that were looked at since the last call.

    Raises:
        DataError: if there is no sharded run, or its plan is damaged.
    """
    run_folder = RunFolder(Place(folder))
    if not run_folder.is_run():
        raise DataError(f"{run_folder.place} holds no sharded run; score --engine writes one")
    tell = progress or (lambda n: None)
    with Keys() as keys:
        checked = _Checked(run_folder, run_folder.run(), count_sources, keys)
        looks = ahead(
            checked.look_at,
            run_folder.plan(),
            most=_AHEAD,
            size=lambda look: 100 * len(look.keys),
            threads=_THREADS,
        )
        for shard, look in looks:
            checked.add(shard, look)
            tell(1)
        return checked.result()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What a look at one shard's file found."""

    is_missing: bool = False
    fault: str = ""
    errors: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    keys: Sequence[str] = ()


@dataclass(slots=True)
class _Checked:
    folder: RunFolder
    run: Run
    count_sources: bool | None
    keys: Keys
    shards: int = 0
    rows: int = 0
    errors: dict[str, Counter[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    strange: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        files = (n for n in self.folder.place.names() if n.endswith(SUFFIX))
        self.strange = {n.removesuffix(SUFFIX) for n in files if not n.startswith(".")}

    def look_at(self, shard: Shard) -> _Look:
        """Check one shard; several threads may."""
        place = self.folder.scores(shard.name)
        if not place.exists():
            return _Look(is_missing=True)
        try:
            table = _read(place, self.run)
            _check(table, shard, self.run)
            _check_source(shard, len(table), self._is_counted(shard))
        except DataError as error:
            return _Look(fault=str(error))
        said = read_footer(table.schema)
        return _Look(errors=said["errors"], keys=table["key"].to_pylist())

    def _is_counted(self, shard: Shard) -> bool:
        if self.count_sources is None:
            return not is_remote(shard.source)
        return self.count_sources

    def add(self, shard: Shard, look: _Look) -> None:
        """Count what was found of a shard."""
        self.shards += 1
        self.strange.discard(shard.name)
        if look.is_missing:
            self.missing.append(shard.name)
        elif look.fault:
            self.faults[shard.name] = look.fault
        self.rows += len(look.keys)
        for key in look.keys:
            self.keys.add(key)
        for reward, codes in look.errors.items():
            self.errors.setdefault(reward, Counter()).update(codes)

    def result(self) -> Verified:
        """What was found; the shards were looked at in the order of the plan."""
        return Verified(
            shards=self.shards,
            rows=self.rows,
            errors={n: dict(sorted(codes.items())) for n, codes in sorted(self.errors.items())},
            missing=self.missing,
            failed=attempts.lost(self.folder),
            faults=self.faults,
            repeated=self._repeated(),
            strange=sorted(self.strange),
            changed=_changed(self.folder, self.run, counted=self.count_sources is not False),
        )

    def _repeated(self) -> list[str]:
        """Keys of several shards, the first ten."""
        alike = self.keys.repeated()
        found: set[str] = set()
        for shard in self.folder.plan() if alike else ():
            if len(found) >= _SHOWN:
                break
            if shard.name not in self.faults and self.folder.scores(shard.name).exists():
                keys = _read(self.folder.scores(shard.name), self.run, ["key"])["key"].to_pylist()
                found |= {key for key in keys if hash_of(key) in alike}
        return sorted(found)[:_SHOWN]


def _changed(folder: RunFolder, run: Run, *, counted: bool) -> str:
    """How the source differs from the plan; its pictures are listed where its rows are counted."""
    try:
        return changed(run.source, folder, pictures=counted and not is_remote(run.source))
    except DataError as error:
        return str(error)


def _read(place: Place, run: Run, columns: Sequence[str] | None = None) -> pa.Table:
    """Keys, totals and errors of a file, its checksums verified; DataError if it is damaged."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    wanted = columns or ["key", *(f"{n}.{p}" for n in run.rewards for p in ("total", "error"))]
    try:
        with place.open() as file:
            return pq.ParquetFile(file, page_checksum_verification=True).read(columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{place} is damaged or no parquet file: {error}") from error


def _check(table: pa.Table, shard: Shard, run: Run) -> None:
    """Raise DataError if a shard's rows are not what its footer and the plan say."""
    try:
        said = read_footer(table.schema)
    except json.JSONDecodeError as error:
        raise DataError("its footer is damaged") from error
    if not is_done(said, shard, run.config_hash):
        raise DataError("its footer is of another input or configuration; score again")
    if said["rows"] != len(table):
        raise DataError(f"it has {len(table)} rows, but its footer says {said['rows']}")
    if shard.rows not in (None, len(table)):
        raise DataError(f"it has {len(table)} rows, but was planned with {shard.rows}")
    twice = [key for key, n in Counter(table["key"].to_pylist()).items() if n > 1]
    if twice:
        raise DataError(f"it has key {twice[0]!r} twice")
    for reward in run.rewards:
        _check_scores(table, reward, said["errors"].get(reward, {}))


def _check_source(shard: Shard, rows: int, is_counted: bool) -> None:
    """Raise DataError if a shard's source is another now, or has not so many inputs."""
    if is_counted:
        inputs = len(shard_rows(shard))
        if inputs != rows:
            raise DataError(f"it has {rows} rows, but {shard.source} has {inputs} inputs")
    elif shard.kind != "list" and Place(shard.source).stamp() != Stamp(shard.size, shard.mark):
        raise DataError(f"{shard.source} has changed since it was planned")


def _check_scores(table: pa.Table, reward: str, counted: Mapping[str, int]) -> None:
    import pyarrow.compute as pc  # noqa: PLC0415

    if missing := {f"{reward}.total", f"{reward}.error"} - set(table.column_names):
        raise DataError(f"it has no column {sorted(missing)[0]}")
    total, error = table[f"{reward}.total"], table[f"{reward}.error"]
    either = pc.xor(pc.is_finite(total).fill_null(False), error.is_valid())  # noqa: FBT003
    if not pc.all(either).as_py() and len(table):
        raise DataError(f"a row has neither a finite {reward}.total nor a reason, or both")
    codes = Counter(map(error_code, error.drop_null().to_pylist()))
    if codes != Counter(counted):
        raise DataError(f"its footer counts other errors of {reward} than its rows have")
