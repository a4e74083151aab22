"""What the parts of a sharded run tell each other: what to score by, what was done, what is left.

An engine is a module with `run(job: Job) -> None`. It makes workers from `job.spec`, asks
`job.open(worker.run)` for the shards once the first of them stands, hands them out, and says
`job.done(...)` or `job.failed(...)` of each.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from beholder._plan.planning import plan
from beholder._run_folder import Run, RunFolder, Shard, is_done
from beholder.errors import DataError
from beholder.images import Alpha
from beholder.rewards.sharded import attempts
from beholder.rewards.sharded.ledger import Ledger, Standing, footer_of, standing
from beholder.storage import Place

_LOG = logging.getLogger(__name__)

ALIKE = 3
"""If so many shards fail alike and none is done, the fault is not the shards'."""


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
    """A shard that could not be scored as a whole, such as an archive that is cut off."""

    shard: str
    why: str


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
    _config_hash: str = ""
    _again: frozenset[str] = frozenset()
    _ledger: Ledger | None = None
    _alike: dict[str, set[str]] = field(default_factory=dict)

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
        planned = self.spec.source, self.spec.prompts or None
        plan(planned[0], self.folder, prompts=planned[1], shard_size=self.shard_size)
        rank, world = share
        mine = [s for k, s in enumerate(self.folder.plan()) if k % world == rank]
        self.shards = len(mine)
        self._ledger = Ledger(self.folder)
        self.before = standing(self.folder, run.config_hash, mine)
        self._config_hash = run.config_hash
        self._again = self.before.with_errors if self.retry_failed else frozenset()
        self._count_before()
        self.on_shard(len(self.before.done) - len(self._again), self.shards)
        left = [s for s in mine if s.name not in self.before.done or s.name in self._again]
        return self._worth_trying(left)

    def found(self, shard: Shard) -> bool:
        """Whether a worker that died had just finished a shard; then it is done."""
        said = {} if shard.name in self._again else footer_of(self.folder.scores(shard.name))
        if not is_done(said, shard, self._config_hash):
            return False
        rows, errors = said["rows"], said["errors"]
        self.done(ShardDone(shard=shard.name, rows=rows, errors=errors, seconds=0.0, footer=said))
        return True

    def done(self, done: ShardDone) -> None:
        """A shard's scores are written."""
        self.scored += 1
        self._count(done.rows, done.errors)
        attempts.clear(self.folder, done.shard)
        if self._ledger is not None:
            self._ledger.add(done.footer)
        self.on_shard(len(self.before.done) - len(self._again) + self.scored, self.shards)
        self._warn_of_prompts(done)

    def failed(self, shard: str, why: str, *, alike: bool = True) -> bool:
        """A shard was begun and not finished; gives whether it is to be begun again.

        Raises DataError if several shards fail alike and none was ever done: the fault is theirs
        who run them. A worker that died, whose `alike` is False, may have died of anything.
        """
        if alike:
            self._refuse_alike(shard, why)
        if attempts.count(self.folder, shard) < attempts.MOST_ATTEMPTS:
            attempts.explain(self.folder, shard, why)
            self.suspects.add(shard)
            return True
        self.lost[shard] = attempts.give_up(self.folder, shard, why)
        return False

    def close(self) -> None:
        """Leave the folder as a resume or a reader wants it."""
        if self._ledger is not None:
            self._ledger.close()
            attempts.write_failed(self.folder)

    def _refuse_alike(self, shard: str, why: str) -> None:
        names = self._alike.setdefault(why, set())
        names.add(shard)
        if len(names) >= ALIKE and not self.scored and not self.before.done:
            for name in names:
                attempts.clear(self.folder, name)
            raise DataError(f"the first {ALIKE} shards all failed alike: {why}")

    def _count(self, rows: int, errors: Mapping[str, Mapping[str, int]]) -> None:
        self.rows += rows
        for reward, codes in errors.items():
            self.errors.setdefault(reward, Counter()).update(codes)

    def _warn_of_prompts(self, done: ShardDone) -> None:
        for reward, codes in done.errors.items():
            if self.scored == 1 and codes.get("no-prompt") == done.rows > 0:
                _LOG.warning("no row of shard %s has a prompt, which %s needs", done.shard, reward)

    def _count_before(self) -> None:
        for name, found in self.before.done.items():
            if name not in self._again:
                self._count(found.rows, found.errors)

    def _worth_trying(self, shards: list[Shard]) -> list[Shard]:
        """Those that were not begun too often; who was begun before comes last."""
        known = attempts.known(self.folder)
        for name in known.keys() & self.before.done.keys() - self._again:
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
