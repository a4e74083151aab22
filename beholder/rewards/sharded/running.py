"""From a source of any size to a folder of scores, shard by shard, by whichever engine."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from beholder._run_folder import RunFolder
from beholder.errors import ConfigError
from beholder.images import Alpha
from beholder.rewards.sharded.claim import refuse_foreign
from beholder.rewards.sharded.job import Job, WorkerSpec
from beholder.storage import Place
from beholder.tables import unknown

ENGINES = ("processes", "ranks", "ray")
"""Modules of this package with `run(job)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardedConfig:
    """How `run_sharded` works.

    Attributes:
        engine: "processes" on this machine; "ranks" that torchrun or SLURM started; "ray".
        workers: how many; None is one a GPU, or one a CPU core. Ranks are as many as were started.
        most_workers: of Ray, a pool that grows from `workers` to so many; None lets it not grow.
        address: of the Ray cluster; None is RAY_ADDRESS, or one of our own on this machine.
        gpus: of one Ray worker on "cuda", such as 0.5; None is 1.
        shard_size: rows of a shard where the source is a list; an archive is one shard.
        batch_size: pictures in one pass of a model.
        alpha: behind transparent pixels: "white", "black" or "drop".
        device: where rewards go; "cuda" is spread over the GPUs of a machine, None is the CPU.
        dtype: "fp32", "bf16" or "fp16"; None keeps what weights are loaded in.
        threads: of torch in each worker on a CPU; one gives the same bits everywhere.
        stall_seconds: a worker process that finishes no batch for so long is killed.
        retry_failed: try those shards again that were given up or have rows with errors.
    """

    engine: str = "processes"
    workers: int | None = None
    most_workers: int | None = None
    address: str | None = None
    gpus: float | None = None
    shard_size: int = 10_000
    batch_size: int = 32
    alpha: Alpha = "white"
    device: str | None = None
    dtype: str | None = None
    threads: int = 1
    stall_seconds: float = 600.0
    retry_failed: bool = False

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ConfigError(unknown("engine", self.engine, ENGINES))
        for name in ("workers", "most_workers", "shard_size", "batch_size", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be 1 or more, got {value}")
        if not self.stall_seconds > 0:
            raise ConfigError(f"stall_seconds must be above 0, got {self.stall_seconds}")
        self._refuse_of_others()

    def _refuse_of_others(self) -> None:
        """An option that the engine would not read is a mistake."""
        of_ray = ("most_workers", "address", "gpus")
        strange = {"ray": (), "processes": of_ray, "ranks": ("workers", *of_ray)}[self.engine]
        given = [name for name in strange if getattr(self, name) is not None]
        if given:
            raise ConfigError(f"the engine {self.engine} takes no {', '.join(given)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardedSummary:
    """What a sharded run holds and what one call did; of a rank, of its part of the plan.

    Attributes:
        rows: in all finished shards.
        shards: in the plan.
        done_before: shards that were done when the call began, but for those scored again.
        scored: shards that it scored.
        failed: shards that were given up -> why.
        errors: reward -> error code -> rows, in all finished shards.
        seconds: how long the call took.
    """

    rows: int
    shards: int
    done_before: int
    scored: int
    failed: Mapping[str, str]
    errors: Mapping[str, Mapping[str, int]]
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether every row has every score."""
        return not self.failed and not any(sum(c.values()) for c in self.errors.values())

    def as_dict(self) -> dict[str, object]:
        """The same as plain JSON-ready values."""
        names = ("rows", "shards", "done_before", "scored", "seconds")
        errors = {reward: dict(codes) for reward, codes in self.errors.items()}
        counts = {name: getattr(self, name) for name in names}
        return {**counts, "failed": dict(self.failed), "errors": errors}


def run_sharded(
    source: str | os.PathLike[str],
    rewards: Mapping[str, tuple[str, Mapping[str, object]]],
    out: str | os.PathLike[str],
    config: ShardedConfig | None = None,
    *,
    prompts: str | os.PathLike[str] | None = None,
    progress: Callable[[int], object] | None = None,
    on_shard: Callable[[int, int], object] | None = None,
) -> ShardedSummary:
    """Score a source shard by shard into the folder `out`; the same call resumes.

    Every input has its row, in order, with scores or an error. A shard that cannot be scored in
    three attempts is given up and listed.

    Args:
        source: what `beholder._plan` can plan: a folder, glob, manifest, archives, addresses.
        rewards: name of the columns -> what `beholder.load` takes, and its options.
        out: a folder or an address.
        config: how.
        prompts: for pictures that bring none.
        progress: called with the number of pictures that were scored since the last call.
        on_shard: called with how many shards are done, and how many there are.

    Raises:
        ConfigError: if a setting is out of range, or `out` holds something else.
        WeightsError: if weights are missing or do not fit.
        DataError: if the source cannot be planned, or every shard fails alike.
    """
    config = config or ShardedConfig()
    start = time.monotonic()
    job = _job(_spec(source, rewards, out, prompts, config), config)
    job.progress = progress or job.progress
    job.on_shard = on_shard or job.on_shard
    refuse_foreign(job.folder)
    try:
        importlib.import_module(f"beholder.rewards.sharded.{config.engine}").run(job)
    finally:
        job.close()
    return ShardedSummary(
        rows=job.rows,
        shards=job.shards,
        done_before=job.done_before,
        scored=job.scored,
        failed=dict(sorted(job.lost.items())),
        errors={name: dict(sorted(codes.items())) for name, codes in sorted(job.errors.items())},
        seconds=time.monotonic() - start,
    )


def is_sharded(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a sharded run."""
    return RunFolder(Place(folder)).is_run()


def _spec(
    source: str | os.PathLike[str],
    rewards: Mapping[str, tuple[str, Mapping[str, object]]],
    out: str | os.PathLike[str],
    prompts: str | os.PathLike[str] | None,
    config: ShardedConfig,
) -> WorkerSpec:
    spec = WorkerSpec(
        folder=Place(out).absolute,
        source=Place(source).absolute,
        prompts="" if prompts is None else Place(prompts).absolute,
        rewards=dict(rewards),
    )
    names = ("device", "dtype", "batch_size", "alpha", "threads")
    return replace(spec, **{name: getattr(config, name) for name in names})


def _job(spec: WorkerSpec, config: ShardedConfig) -> Job:
    names = ("workers", "most_workers", "address", "gpus", "shard_size", "stall_seconds")
    asked = {name: getattr(config, name) for name in names}
    return Job(spec=spec, retry_failed=config.retry_failed, **asked)
