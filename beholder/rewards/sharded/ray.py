"""The engine "ray": Ray Data hands out names of shards, its actors are workers.

Only names and counts pass through Ray, never a picture: an actor loads the rewards once, reads a
shard from where it lies, and writes its scores there. What is left after a pass is handed out in
another, those that were begun before alone.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from beholder._run_folder import Run, Shard
from beholder.errors import ConfigError, DataError, MissingDependencyError
from beholder.rewards.sharded import attempts
from beholder.rewards.sharded.channel import Fatal
from beholder.rewards.sharded.claim import only_driver
from beholder.rewards.sharded.job import Job, ShardDone, ShardFailed, WorkerSpec
from beholder.rewards.sharded.ray_actor import Actor, Answer, Died, Work, claimed

_log = logging.getLogger(__name__)

DECODERS = 2
"""Threads that decode in each actor, if nothing else is asked."""

MOST_BLOCKS = 5_000
"""Ray keeps each block in its books, which takes it about 2 ms before the first shard starts."""

_TOGETHER = 8
"""Shards that an actor takes at a time, so that it reads the next while it scores one."""

_OBJECT_STORE = 128 * 2**20
_PATIENCE = 60.0  # seconds before a missing machine is worth a word


def run(job: Job) -> None:
    """Score what is left of a job by actors of Ray.

    It runs on the cluster of `job.address`, of RAY_ADDRESS, or that this process is connected to
    already; without one, a cluster of its own on this machine lives as long as the run.

    Raises:
        ConfigError: if an option does not fit, as `Worker` does.
        DataError: if the source cannot be planned, another process writes the folder, the first
            shards fail alike, or Ray gives up.
        MissingDependencyError: if ray is not installed.
    """
    needs = Needs.of(job)
    spec = replace(job.spec, decoders=needs.decoders)
    handing = _Handing(job, spec, needs)
    try:
        with (
            only_driver(job.folder),
            redirect_stdout(sys.stderr),  # where Ray prints that a process died
            cluster(job.address, needs),
        ):
            left = job.open(_claimed(job, spec, needs))
            while left:
                left = handing.pass_through(left)
    except BaseException:
        handing.take_back()
        raise


@dataclass(frozen=True, slots=True)
class Needs:
    """What is asked of a cluster.

    Attributes:
        least, most: actors.
        decoders: threads of an actor beside the one that scores.
        gpus: of an actor; 0 on the CPU.
    """

    least: int
    most: int
    decoders: int
    gpus: float

    @staticmethod
    def of(job: Job) -> Needs:
        """What a job asks for; ConfigError if that cannot be."""
        device = torch.device(job.spec.device or "cpu")
        if device.index is not None:
            raise ConfigError(f"ray chooses the GPU of a worker; give cuda, not {device}")
        if job.gpus is not None and device.type == "cpu":
            raise ConfigError("GPUs for a worker are asked, but it runs on the CPU; give cuda")
        if job.gpus is not None and job.gpus <= 0:
            raise ConfigError(f"GPUs of a worker must be above 0, such as 0.5, got {job.gpus}")
        least = job.workers or min(2, job.most_workers or 2)
        most = job.most_workers or least
        if most < least:
            raise ConfigError(f"a pool cannot grow from {least} to {most} workers")
        gpus = 0.0 if device.type == "cpu" else job.gpus or 1.0
        return Needs(least, most, job.spec.decoders or DECODERS, gpus)

    @property
    def cpus(self) -> int:
        """Of an actor."""
        return self.decoders + 1

    def options(self) -> dict[str, float]:
        """The same as Ray's options of an actor or task."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus}


@dataclass(slots=True)
class _Handing:
    """Hands shards to Ray and tells the job what became of them.

    Attributes:
        out: shards that were handed out and not reported -> how often they were begun before.
    """

    job: Job
    spec: WorkerSpec
    needs: Needs
    out: dict[str, int] = field(default_factory=dict)

    def pass_through(self, shards: Sequence[Shard]) -> list[Shard]:
        """Hand out every shard once; gives those that are to be handed out again."""
        by_name = {shard.name: shard for shard in shards}
        groups = grouped(self._works(shards), self.job.suspects, self.needs.most)
        make = (self.spec, self.job.stall_seconds)
        again = []
        with closing(_answers(groups, make, self.needs)) as answers:
            for answer in answers:
                if isinstance(answer, Fatal):
                    raise answer.kind(answer.text)
                if self.out.pop(answer.shard, None) is None:  # told twice
                    continue
                if self._is_for_again(answer, by_name[answer.shard]):
                    again.append(by_name[answer.shard])
        return again + self._untold(shards)

    def _untold(self, shards: Sequence[Shard]) -> list[Shard]:
        """Shards whose answer was lost with a machine; DataError if no answer came at all."""
        if shards and len(self.out) == len(shards):
            raise DataError("ray told nothing of any shard; the same command goes on")
        return [shard for shard in shards if shard.name in self.out]

    def _is_for_again(self, answer: ShardDone | ShardFailed | Died, shard: Shard) -> bool:
        if isinstance(answer, ShardDone):
            self.job.done(answer)
            self.job.progress(answer.rows)
            return False
        if isinstance(answer, ShardFailed):
            return self.job.failed(answer.shard, answer.why, kind=answer.kind)
        if self.job.found(shard):
            return False
        self.job.died(answer.why)
        return self.job.failed(answer.shard, answer.why, alike=False)

    def take_back(self) -> None:
        """Take back the attempts that this process ends, not a shard."""
        known = attempts.known(self.job.folder)
        begun = [n for n, tries in self.out.items() if n in known and known[n].begun > tries]
        attempts.withdraw_all(self.job.folder, begun)

    def _works(self, shards: Sequence[Shard]) -> list[Work]:
        known = attempts.known(self.job.folder)
        tries = {s.name: known[s.name].begun if s.name in known else 0 for s in shards}
        self.out = tries.copy()
        return [Work(s, tries[s.name], s.name in self.job.before.again) for s in shards]


def grouped(works: Sequence[Work], alone: set[str], actors: int) -> list[list[Work]]:
    """Shards as actors take them: several at a time while there are many, but `alone` ones alone.

    Every actor has four turns at least, if there are so many shards, and there are no more than
    about MOST_BLOCKS groups.
    """
    size = max(min(_TOGETHER, len(works) // (4 * actors)), -(-len(works) // MOST_BLOCKS), 1)
    some = [work for work in works if work.shard.name not in alone]
    groups = [some[first : first + size] for first in range(0, len(some), size)]
    return groups + [[work] for work in works if work.shard.name in alone]


def _answers(
    groups: Sequence[Sequence[Work]], make: tuple[WorkerSpec, float], needs: Needs
) -> Generator[Answer]:
    import ray.data  # noqa: PLC0415
    import ray.exceptions  # noqa: PLC0415

    with _quiet_data():
        items = [{"works": pickle.dumps(group)} for group in groups]
        handed = ray.data.from_items(items, override_num_blocks=len(items))
        pool = ray.data.ActorPoolStrategy(
            min_size=min(needs.least, len(items)), max_size=min(needs.most, len(items))
        )
        told = handed.map_batches(
            Actor,
            batch_size=1,
            batch_format="pyarrow",
            compute=pool,
            fn_constructor_args=make,
            num_cpus=needs.cpus,
            num_gpus=needs.gpus or None,
        )
        try:
            for row in told.iter_rows():
                yield pickle.loads(row["answer"])
        except ray.exceptions.RayError as error:
            raise DataError(_gave_up(error)) from error


def _gave_up(error: Exception) -> str:
    return f"ray gave up: {str(error).strip() or type(error).__name__}; the same command goes on"


@contextmanager
def _quiet_data() -> Iterator[None]:
    """Ray Data without bars and notes, an answer as soon as it is given."""
    from ray.data import DataContext  # noqa: PLC0415

    context = DataContext.get_current()
    wanted = {"enable_progress_bars": False, "target_max_block_size": 1}
    before = {name: getattr(context, name) for name in wanted}
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.ERROR)
    _set(context, wanted)
    try:
        yield
    finally:
        _set(context, before)
        logger.setLevel(level)


def _set(holder: object, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(holder, name, value)


def _claimed(job: Job, spec: WorkerSpec, needs: Needs) -> Run:
    """What the folder's scores are of, from a worker that loads the rewards where actors will."""
    import ray  # noqa: PLC0415
    import ray.exceptions  # noqa: PLC0415

    asked = ray.remote(claimed).options(**needs.options()).remote(spec)
    job.foresee()
    _wait(asked, needs)
    try:
        found: Run | Fatal = ray.get(asked)
    except ray.exceptions.RayError as error:
        raise DataError(_gave_up(error)) from error
    if isinstance(found, Fatal):
        raise found.kind(found.text)
    return found


def _wait(asked: Any, needs: Needs) -> None:
    import ray  # noqa: PLC0415

    if not ray.wait([asked], timeout=_PATIENCE)[0]:
        resources: Callable[[], dict[str, float]] = ray.cluster_resources
        has = {n: v for n, v in resources().items() if n in {"CPU", "GPU"}}
        gpus = f" and {needs.gpus:g} GPUs" if needs.gpus else ""
        _log.warning(
            "waiting for a machine with %d CPUs%s; the cluster has %s", needs.cpus, gpus, has
        )


@contextmanager
def cluster(address: str | None, needs: Needs) -> Iterator[None]:
    """A connection to a cluster; what is started here is ended here.

    Raises:
        ConfigError: if it cannot be reached or started.
        MissingDependencyError: if ray is not installed.
    """
    try:
        import ray  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "the ray engine needs ray: pip install 'beholder[ray]'"
        ) from error

    if ray.is_initialized():
        yield
        return
    try:
        _connect(ray.init, address or os.environ.get("RAY_ADDRESS"), needs)
        yield
    finally:
        ray.shutdown()


def _connect(init: Callable[..., object], address: str | None, needs: Needs) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None or address == "local":
        options |= {"address": "local", "num_cpus": needs.most * needs.cpus}
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE}
    else:
        options["address"] = address
    try:
        with _environment():
            init(**options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"no ray cluster could be reached or started: {error}") from error


@contextmanager
def _environment() -> Iterator[None]:
    """What the processes of a cluster of our own inherit; a user's own settings stay."""
    wanted = {
        "RAY_worker_niceness": "0",  # else actors run at nice 15
        "RAY_BACKEND_LOG_LEVEL": "fatal",  # else Ray's core writes to the terminal
        "OMP_NUM_THREADS": "1",
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path),
    }
    before = dict(os.environ)
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
