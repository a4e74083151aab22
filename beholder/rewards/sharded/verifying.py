"""Proof that a sharded run lost and repeated nothing: every file is read and held to its source.

A shard is in order if its file is there and whole, its footer names this configuration and the
source as planned, and it has one row for each input of the source, with distinct keys. Over the
whole run keys are compared by a hash of eight bytes each, and the few that agree by themselves.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from beholder._plan.reading import shard_rows
from beholder._run_folder import Run, RunFolder, Shard, is_done, read_footer
from beholder.errors import DataError
from beholder.rewards.sharded import attempts
from beholder.rewards.sharded.ledger import SUFFIX
from beholder.storage import Place
from beholder.tables import error_code

if TYPE_CHECKING:
    import os

    import pyarrow as pa

Hashes = npt.NDArray[np.uint64]

_THREADS = 4
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
    """

    shards: int
    rows: int
    errors: Mapping[str, Mapping[str, int]]
    missing: Sequence[str]
    failed: Mapping[str, str]
    faults: Mapping[str, str]
    repeated: Sequence[str]
    strange: Sequence[str]

    @property
    def is_sound(self) -> bool:
        """Whether every input has exactly one row."""
        return not (self.missing or self.faults or self.repeated or self.strange)

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        lists = {n: list(getattr(self, n)) for n in ("missing", "repeated", "strange")}
        errors = {reward: dict(codes) for reward, codes in self.errors.items()}
        found = {"failed": dict(self.failed), "faults": dict(self.faults), "errors": errors}
        return {"sound": self.is_sound, "shards": self.shards, "rows": self.rows, **lists, **found}


def verify(
    folder: str | os.PathLike[str],
    *,
    count_sources: bool = True,
    progress: Callable[[int], object] | None = None,
) -> Verified:
    """Hold every shard's file to the plan and to its source.

    Args:
        folder: of a sharded run.
        count_sources: count the inputs of each source again; False believes the footers.
        progress: called with the number of shards that were looked at since the last call.

    Raises:
        DataError: if there is no sharded run, or its plan is damaged.
    """
    run_folder = RunFolder(Place(folder))
    if not run_folder.is_run():
        raise DataError(f"{run_folder.place} holds no sharded run; score --engine writes one")
    shards = list(run_folder.plan())
    checked = _Checked(run_folder, run_folder.run())
    look = partial(checked.look_at, count_sources=count_sources)
    with ThreadPoolExecutor(_THREADS) as pool:
        for found in pool.map(look, shards):
            checked.add(found)
            (progress or (lambda n: None))(1)
    return checked.result([shard.name for shard in shards])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What a look at one shard's file found."""

    shard: str
    is_missing: bool = False
    fault: str = ""
    errors: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    hashes: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))


@dataclass(slots=True)
class _Checked:
    folder: RunFolder
    run: Run
    errors: dict[str, Counter[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, Hashes] = field(default_factory=dict)

    def look_at(self, shard: Shard, *, count_sources: bool) -> _Look:
        """Check one shard; several threads may."""
        place = self.folder.scores(shard.name)
        if not place.exists():
            return _Look(shard=shard.name, is_missing=True)
        try:
            table = _read(place, self.run)
            _check(table, shard, self.run, len(shard_rows(shard)) if count_sources else None)
        except DataError as error:
            return _Look(shard=shard.name, fault=str(error))
        errors = read_footer(table.schema)["errors"]
        return _Look(shard=shard.name, errors=errors, hashes=_hashes(table))

    def add(self, look: _Look) -> None:
        """Count what was found of a shard."""
        if look.is_missing:
            self.missing.append(look.shard)
        elif look.fault:
            self.faults[look.shard] = look.fault
        else:
            self.hashes[look.shard] = look.hashes
        for reward, codes in look.errors.items():
            self.errors.setdefault(reward, Counter()).update(codes)

    def result(self, names: Sequence[str]) -> Verified:
        """What was found; the shards were looked at in the order of the plan."""
        planned = set(names)
        files = (n.removesuffix(SUFFIX) for n in self.folder.place.names() if n.endswith(SUFFIX))
        return Verified(
            shards=len(names),
            rows=sum(map(len, self.hashes.values())),
            errors={n: dict(sorted(codes.items())) for n, codes in sorted(self.errors.items())},
            missing=self.missing,
            failed=attempts.lost(self.folder),
            faults=self.faults,
            repeated=self._repeated(),
            strange=sorted(n for n in files if n not in planned and not n.startswith(".")),
        )

    def _repeated(self) -> list[str]:
        """Keys of several shards; hashes that agree by chance are told apart by the keys."""
        alike = _twice(list(self.hashes.values()))
        if not len(alike):
            return []
        seen: Counter[str] = Counter()
        for name, hashes in self.hashes.items():
            at = np.flatnonzero(np.isin(hashes, alike))
            if len(at):
                keys = _read(self.folder.scores(name), self.run, ["key"])["key"]
                seen.update(keys.take(at).to_pylist())
        return sorted(key for key, count in seen.items() if count > 1)[:_SHOWN]


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


def _check(table: pa.Table, shard: Shard, run: Run, inputs: int | None) -> None:
    """Raise DataError if a shard's rows are not what its footer, its source and the plan say."""
    try:
        said = read_footer(table.schema)
    except json.JSONDecodeError as error:
        raise DataError("its footer is damaged") from error
    if not is_done(said, shard, run.config_hash):
        raise DataError("its footer is of another input or configuration; score again")
    if said["rows"] != len(table):
        raise DataError(f"it has {len(table)} rows, but its footer says {said['rows']}")
    if inputs is not None and inputs != len(table):
        raise DataError(f"it has {len(table)} rows, but {shard.source} has {inputs} inputs")
    twice = [key for key, n in Counter(table["key"].to_pylist()).items() if n > 1]
    if twice:
        raise DataError(f"it has key {twice[0]!r} twice")
    for reward in run.rewards:
        _check_scores(table, reward, said["errors"].get(reward, {}))


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


def _hashes(table: pa.Table) -> Hashes:
    """Eight bytes of each key's BLAKE2b."""
    keys: Iterator[str] = (key for key in table["key"].to_pylist())
    digests = b"".join(hashlib.blake2b(key.encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, np.uint64)


def _twice(parts: Sequence[Hashes]) -> Hashes:
    """Hashes that occur more than once over all parts."""
    if not parts:
        return np.empty(0, np.uint64)
    every = np.concatenate(parts)
    every.sort()
    found: Hashes = np.unique(every[1:][every[1:] == every[:-1]])
    return found
