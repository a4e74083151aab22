"""What the parts of a sharded run tell each other: what to score by, what was done, what is left.

An engine is a module with `run(job: Job) -> None`. It makes workers from `job.spec`, asks
`job.open(worker.run)` for the shards once the first of them stands, hands them out, and says
`job.done(...)` or `job.failed(...)` of each.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from beholder._plan.planning import plan
from beholder._run_folder import Run, RunFolder, Shard, is_done
from beholder.errors import BeholderError, DataError
from beholder.images import Alpha
from beholder.rewards.sharded import attempts
from beholder.rewards.sharded.failures import bare
from beholder.rewards.sharded.ledger import Done, Ledger, Standing, footer_of, standing
from beholder.storage import Place

_LOG = logging.getLogger(__name__)

ALIKE = 3
"""If so many shards fail alike and none is done, the fault is not the shards'."""

ALIKE_LATER = 10
"""The same of shards that fail one after another, each for the first time, once some are done."""

MOST_DEATHS = 10
"""If so many workers died and none ever finished a shard, the fault is not the shards'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """What makes a worker, the same for every one of a run; it can be pickled.

    Attributes:
        folder: address of the run.
        source, prompts: what is scored, as `plan` takes them; "" for prompts of the source itself.
        rewards: name of the columns -> what `beholder.load` takes, and its options.
        device: where the rewards go; None is the CPU.
        dtype: "fp32", "bf16" or "fp16"; None keeps what the weights are loaded in.
        batch_size: pictures in one pass of a model.
        alpha: behind transparent pixels.
        threads: of torch on the CPU; the numbers of one and of two differ in their last bits.
        decoders: threads that decode ahead; None takes min(16, CPU count).
    """

    folder: str
    source: str
    prompts: str = ""
    rewards: Mapping[str, tuple[str, Mapping[str, object]]]
    device: str | None = None
    dtype: str | None = None
    batch_size: int = 32
    alpha: Alpha = "white"
    threads: int = 1
    decoders: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardDone:
    """A shard whose scores are written.

    Attributes:
        footer: what its file says of itself.
        seconds: from its first batch to its last.
    """

    shard: str
    rows: int
    errors: Mapping[str, Mapping[str, int]]
    seconds: float
    footer: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFailed:
    """A shard that could not be scored as a whole, such as an archive that is cut off.

    Attributes:
        kind: what failures of one cause share, see `failures.kind_of`; "" takes it from `why`.
    """

    shard: str
    why: str
    kind: str = ""


@dataclass(slots=True, kw_only=True)
class Job:
    """One call of `run_sharded`: what an engine is given, and where it reports.

    Attributes:
        spec: of every worker.
        workers: how many; None lets the engine choose.
        most_workers, address, gpus: of the engine "ray"; see `ShardedConfig`.
        shard_size: rows of a shard that is a list.
        stall_seconds: a worker that finishes no batch for so long is given up.
        retry_failed: try those again that were given up, and shards with rows that have errors.
        progress: called with the number of pictures that were scored since the last call.
        on_shard: called with how many shards are done, and how many there are.
        shards: how many the plan has, or this rank's part of it.
        before: what was done when this run began.
        scored: shards of this run.
        lost: shards that were given up -> why.
        deaths: of workers.
        suspects: shards that were begun before and not finished; they are best handed out alone.
    """

    spec: WorkerSpec
    workers: int | None = None
    most_workers: int | None = None
    address: str | None = None
    gpus: float | None = None
    shard_size: int = 10_000
    stall_seconds: float = 600.0
    retry_failed: bool = False
    progress: Callable[[int], object] = lambda pictures: None
    on_shard: Callable[[int, int], object] = lambda done, shards: None
    shards: int = 0
    before: Standing = field(default_factory=Standing)
    rows: int = 0
    errors: dict[str, Counter[str]] = field(default_factory=dict)
    scored: int = 0
    lost: dict[str, str] = field(default_factory=dict)
    suspects: set[str] = field(default_factory=set)
    deaths: int = 0
    _config_hash: str = ""
    _foreseen: tuple[str, tuple[int, int]] | None = None
    _ledger: Ledger | None = None
    _alike: list[str] = field(default_factory=list)
    _kind: str = ""

    @property
    def folder(self) -> RunFolder:
        """Where the run is."""
        return RunFolder(Place(self.spec.folder))

    def open(self, run: Run, share: tuple[int, int] = (0, 1)) -> list[Shard]:
        """Plan if nobody has, and give the shards that are to be scored, in order.

        To be called once, after a worker has claimed the folder. `share` is (rank, world): of the
        plan, shard k is done by rank k modulo world. Raises DataError for a source that cannot be
        planned.
        """
        if self._foreseen != (run.config_hash, share):
            self._foresee(run, share)
        warn_of_settings(self.folder, run)
        self._ledger = Ledger(self.folder)
        self._config_hash = run.config_hash
        self.shards = self.before.shards
        for name, found in self.before.done.items():
            if name not in self.before.again:
                self._count(found)
        self.on_shard(self.done_before, self.shards)
        return self._worth_trying(self.before.left)

    def foresee(self) -> None:
        """Find out what is left of a run that was begun before, while a worker still loads.

        What goes wrong here is left to `open`: the worker may have a better reason to refuse.
        """
        if self.folder.is_run() and self.folder.plan_file().exists():
            with suppress(BeholderError):
                self._foresee(self.folder.run(), (0, 1))

    def _foresee(self, run: Run, share: tuple[int, int]) -> None:
        planned = self.spec.source, self.spec.prompts or None
        plan(planned[0], self.folder, prompts=planned[1], shard_size=self.shard_size)
        again = self.retry_failed
        self.before = standing(self.folder, run.config_hash, share, with_errors_again=again)
        self._foreseen = run.config_hash, share

    @property
    def done_before(self) -> int:
        """Shards that were done when this run began, but for those that are scored again."""
        return len(self.before.done) - len(self.before.again)

    def found(self, shard: Shard) -> bool:
        """Whether a worker that died had just finished a shard; then it is done."""
        is_anew = shard.name in self.before.again
        said = {} if is_anew else footer_of(self.folder.scores(shard.name))
        if not is_done(said, shard, self._config_hash):
            return False
        rows, errors = said["rows"], said["errors"]
        self.done(ShardDone(shard=shard.name, rows=rows, errors=errors, seconds=0.0, footer=said))
        return True

    def done(self, done: ShardDone) -> None:
        """A shard's scores are written.

        Raises DataError if it is the first of the run and has no prompt, but a reward needs them.
        """
        self.scored += 1
        self._alike.clear()
        self._count(Done(done.rows, done.errors))
        attempts.clear(self.folder, done.shard)
        if self._ledger is not None:
            self._ledger.add(done.footer)
        self.on_shard(self.done_before + self.scored, self.shards)
        if self.scored == 1:
            self._refuse_want_of_prompts(done)

    def failed(self, shard: str, why: str, *, kind: str = "", alike: bool = True) -> bool:
        """A shard was begun and not finished; gives whether it is to be begun again.

        Raises DataError if several shards fail alike one after another: the fault is theirs who run
        them. A worker that died, whose `alike` is False, may have died of anything.
        """
        if alike:
            self._refuse_alike(shard, why, kind or bare(why))
        if attempts.count(self.folder, shard) < attempts.MOST_ATTEMPTS:
            attempts.explain(self.folder, shard, why)
            self.suspects.add(shard)
            return True
        self.lost[shard] = attempts.give_up(self.folder, shard, why)
        if shard in self.before.again:  # its scores of before are still there
            self._count(self.before.done[shard])
        return False

    def died(self, why: str) -> None:
        """A worker died; DataError if many did and no shard was ever done."""
        self.deaths += 1
        if self.deaths >= MOST_DEATHS and not self.scored and not self.before.done:
            raise DataError(f"{self.deaths} workers died and none finished a shard: {why}")

    def close(self) -> None:
        """Leave the folder as a resume or a reader wants it."""
        if self._ledger is not None:
            self._ledger.close()
            attempts.write_failed(self.folder)

    def _refuse_alike(self, shard: str, why: str, kind: str) -> None:
        """Only first failures count: bad shards are tried again one after another, at the end."""
        if kind != self._kind:
            self._alike.clear()
        self._kind = kind
        if shard not in self.suspects:
            self._alike.append(shard)
        is_new = not self.scored and not self.before.done
        if len(self._alike) < (ALIKE if is_new else ALIKE_LATER):
            return
        for name in self._alike:
            attempts.forgive(self.folder, name, why)
        which = "the first " if is_new else ""
        raise DataError(f"{which}{len(self._alike)} shards failed alike one after another: {why}")

    def _count(self, found: Done) -> None:
        self.rows += found.rows
        for reward, codes in found.errors.items():
            self.errors.setdefault(reward, Counter()).update(codes)

    def _refuse_want_of_prompts(self, done: ShardDone) -> None:
        for reward, codes in done.errors.items():
            if codes.get("no-prompt") != done.rows or not done.rows:
                continue
            said = f"no row of shard {done.shard} has a prompt, which {reward} needs"
            if self.before.done:
                _LOG.warning("%s", said)
                continue
            raise DataError(
                f"{said}; add a prompt column, .txt files beside the pictures or a file of "
                "prompts, or give the same command again to go on without"
            )

    def _worth_trying(self, shards: Sequence[Shard]) -> list[Shard]:
        """Those that were not begun too often; who was begun before comes last."""
        known = attempts.known(self.folder)
        for name in known.keys() & self.before.done.keys() - self.before.again:
            attempts.clear(self.folder, name)  # its driver died before it heard of the end
        names = {s.name for s in shards} & known.keys()
        for name in sorted(names):
            if self.retry_failed:
                attempts.clear(self.folder, name)
            elif known[name].begun >= attempts.MOST_ATTEMPTS:
                self.lost[name] = attempts.give_up(self.folder, name, known[name].why)
            else:
                self.suspects.add(name)
        return sorted(
            (s for s in shards if s.name not in self.lost), key=lambda s: s.name in self.suspects
        )


def warn_of_settings(folder: RunFolder, run: Run) -> None:
    """Say that a run goes on with other settings than it was begun with."""
    before = folder.run().settings
    for name, now in run.settings.items():
        was = before.get(name, now)
        if was != now:
            _LOG.warning(
                "%s was %r when %s was begun and is %r now: scores may differ in their last bits",
                name,
                was,
                folder.place,
                now,
            )
