"""The worker: shards in, files of scores out, under whichever engine.

It decodes ahead in threads over the border of two shards, so that a model does not wait between
them; no batch mixes two, so that the numbers of a shard depend on the shard alone. Whatever is
raised while a shard is read, decoded, scored or written is that shard's failure; what breaks more
than a shard, such as a GPU that answers nothing any more or a full disk, is raised.
"""

from __future__ import annotations

import errno
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import torch

from beholder._ahead import ahead
from beholder._plan.reading import shard_rows
from beholder._run_folder import RUN, Run, RunFolder, Shard, footer
from beholder._tables.sharded_table import note_columns
from beholder._tables.shards import storable
from beholder.calibration import FILE as CALIBRATION
from beholder.errors import ConfigError, DataError, ImageError
from beholder.inputs import Row
from beholder.rewards import Reward, load
from beholder.rewards import _read_ahead as reading
from beholder.rewards._base import evaluating
from beholder.rewards._calibration import keep_in_table
from beholder.rewards._cells import BatchScorer, Column, is_broken, parts_of
from beholder.rewards._precision import dtype_named
from beholder.rewards._read_ahead import Batch, Task, Views
from beholder.rewards.scoring import as_input, configuration
from beholder.rewards.sharded.claim import claim
from beholder.rewards.sharded.failures import kind_of, told
from beholder.rewards.sharded.job import ShardDone, ShardFailed, WorkerSpec
from beholder.rewards.sharded.opening import Opening
from beholder.rewards.sharded.shard_file import parquet_bytes, shard_table
from beholder.storage import Place
from beholder.tables import check_reward_name

_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""The next shard could not be written either."""


@dataclass(frozen=True, slots=True)
class _Unforeseen:
    """In place of a picture whose decoding raised what no reader of pictures may."""

    error: Exception


@dataclass(frozen=True, slots=True)
class _End:
    """After the last row of a shard, or where its reading broke off."""

    shard: Shard
    error: Exception | None = None


Picture = Views | ImageError | _Unforeseen


class Worker:
    """Loads the rewards once and scores shards; see `WorkerSpec`.

    Attributes:
        run: what the folder's scores are of, as its `run.json` says.

    Raises:
        ConfigError: if a reward or an option is unknown, or the folder holds other scores.
        WeightsError: if weights are missing or do not fit.
    """

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        if torch.device(spec.device or "cpu").type == "cpu":
            torch.set_num_threads(spec.threads)
        self._rewards = _loaded(spec)
        self._folder = RunFolder(Place(spec.folder))
        configs = {n: configuration(r, spec.alpha) for n, r in self._rewards.items()}
        mine = Run(
            source=spec.source, prompts=spec.prompts, rewards=configs, settings=_settings(spec)
        )
        self.run = claim(self._folder, mine)
        _keep_calibrations(self._folder, self._rewards)
        self._parts = {name: parts_of(reward) for name, reward in self._rewards.items()}
        self._scorer = BatchScorer(self._rewards, {n for n, p in self._parts.items() if p})

    def score(self, shard: Shard, progress: Callable[[int], object] | None = None) -> ShardDone:
        """Score a shard and write its file; `progress` hears the pictures of each batch.

        Raises DataError if the shard cannot be read or repeats a key, OSError if nothing can be
        written there; then there is no file.
        """
        (done,) = self.score_each([shard], progress)
        if isinstance(done, ShardFailed):
            raise DataError(done.why)
        return done

    def score_each(
        self, shards: Iterable[Shard | None], progress: Callable[[int], object] | None = None
    ) -> Iterator[ShardDone | ShardFailed]:
        """Score shards one after another; the next is taken and opened meanwhile.

        `shards` may give None where there is none yet. Raises OSError if nothing can be written
        there, and what a broken GPU raises.
        """
        tell = progress or (lambda pictures: None)
        shard = self._started()
        with ExitStack() as stack:
            for reward in self._rewards.values():
                stack.enter_context(evaluating(reward))
            stack.enter_context(torch.no_grad())
            for item, picture in self._pictures(shards):
                if isinstance(item, _End):
                    yield self._ended(item, shard, tell)
                    shard = self._started()
                else:
                    tell(shard.add(item, picture))

    def _started(self) -> _Shard:
        return _Shard(self._scorer, Batch(self._spec.batch_size))

    def _pictures(self, shards: Iterable[Shard | None]) -> Iterator[tuple[Task | _End, Picture]]:
        fittings = {name: reward.fitting for name, reward in self._rewards.items()}

        def work(item: Task | _End) -> Picture:
            if isinstance(item, _End):
                return {}
            try:
                return reading.decode(item, self._spec.alpha, fittings)
            except Exception as error:  # noqa: BLE001  (it fails the shard, not all that are ahead)
                return _Unforeseen(error)

        return ahead(
            work,
            self._items(shards),
            most=self._spec.batch_size,
            size=_picture_bytes,
            threads=self._spec.decoders,
            memory=reading.READ_AHEAD_BYTES,
        )

    def _items(self, shards: Iterable[Shard | None]) -> Iterator[Task | _End]:
        """The rows of shards with an end after each; an unreadable one ends where it breaks off."""
        everyone = frozenset(self._rewards)
        opening = Opening(shards, lambda shard: shard_rows(shard))
        for shard, rows in opening:
            found: Exception | None = None
            try:
                for row in _distinct(rows.result()):
                    opening.look()
                    yield Task(row, everyone)
            except Exception as error:  # noqa: BLE001  (whatever a reader raises is this shard's)
                found = error
            yield _End(shard, found)

    def _ended(
        self, end: _End, scored: _Shard, tell: Callable[[int], object]
    ) -> ShardDone | ShardFailed:
        if end.error is None and scored.error is None:
            tell(scored.score())
        found = end.error or scored.error
        if found is None:
            try:
                return self._written(end.shard, scored)
            except Exception as error:  # the next shard may well be written
                if isinstance(error, OSError) and error.errno in _HOPELESS:
                    raise
                found = error
        return ShardFailed(shard=end.shard.name, why=told(found), kind=kind_of(found))

    def _written(self, shard: Shard, scored: _Shard) -> ShardDone:
        errors = {name: dict(column.errors()) for name, column in scored.columns.items()}
        said = footer(shard, self.run, len(scored.inputs), errors)
        columns = {n: c.columns(n, self._parts[n]) for n, c in scored.columns.items()}
        table = shard_table(scored.inputs, columns, said)
        note_columns(self._folder, table)
        self._folder.scores(shard.name).write(parquet_bytes(table))
        seconds = time.monotonic() - scored.start
        return ShardDone(
            shard=shard.name,
            rows=len(scored.inputs),
            errors=errors,
            seconds=seconds,
            footer=json.loads(said),
        )


@dataclass(slots=True)
class _Shard:
    """What is known of a shard while it is scored; its pictures are forgotten batch by batch.

    Attributes:
        error: why it cannot be scored; None so far.
    """

    scorer: BatchScorer
    batch: Batch
    inputs: list[dict[str, object]] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    error: Exception | None = None
    start: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.columns = {name: Column() for name in self.scorer.rewards}

    def add(self, task: Task, picture: Picture) -> int:
        """Take a picture; gives how many were scored now."""
        if self.error is not None:
            return 0
        if isinstance(picture, _Unforeseen):
            self.error = picture.error
            return 0
        self.batch.add((task, picture))
        return self.score() if self.batch.is_full else 0

    def score(self) -> int:
        """Score what waits; gives how many pictures that were."""
        pictures, self.batch = self.batch.pictures, Batch(self.batch.size)
        try:
            found = self.scorer.score(pictures)
        except Exception as error:
            if is_broken(error):
                raise
            self.error = error
            return 0
        for name, cells in found.items():
            self.columns[name].cells.extend(cells)
        self.inputs += [as_input(task.row) for task, _ in pictures]
        return len(pictures)


def _loaded(spec: WorkerSpec) -> dict[str, Reward]:
    if not spec.rewards:
        raise ConfigError("name at least one reward, as -r mps does; `beholder rewards` lists them")
    for name in spec.rewards:
        check_reward_name(name)
    dtype = None if spec.dtype is None else dtype_named(spec.dtype, spec.device)
    return {
        name: load(what, device=spec.device, dtype=dtype, **options)  # type: ignore[arg-type]
        for name, (what, options) in spec.rewards.items()
    }


def _settings(spec: WorkerSpec) -> dict[str, object]:
    """What else the last bits of numbers depend on."""
    device = torch.device(spec.device or "cpu").type
    return {"batch_size": spec.batch_size, "device": device, "threads": spec.threads}


def _picture_bytes(picture: Picture) -> int:
    return 0 if isinstance(picture, _Unforeseen) else reading.picture_bytes(picture)


def _distinct(rows: Iterable[Row]) -> Iterator[Row]:
    seen: set[str] = set()
    for row in rows:
        key = storable(row.key)
        if key in seen:
            raise DataError(f"key {row.key!r} occurs twice in the shard; keys must be unique")
        seen.add(key)
        yield row


def _keep_calibrations(folder: RunFolder, rewards: dict[str, Reward]) -> None:
    """Write calibrations under `_run`, as a table has them, each whole; many workers may do so."""
    with tempfile.TemporaryDirectory(prefix="beholder-") as aside:
        keep_in_table(Path(aside), rewards)
        for file in sorted(Path(aside).rglob(CALIBRATION)):
            place = folder.place / RUN / file.relative_to(aside).as_posix()
            if not place.exists():
                place.write(file.read_bytes())
