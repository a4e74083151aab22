import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from beholder._lock import only_writer
from beholder._run_folder import RunFolder, Shard
from beholder.errors import ConfigError, DataError, MissingDependencyError
from beholder.rewards.sharded import attempts
from beholder.rewards.sharded import job as job_module
from beholder.rewards.sharded import ray as engine
from beholder.rewards.sharded.channel import Fatal
from beholder.rewards.sharded.job import Job, ShardDone, ShardFailed, WorkerSpec
from beholder.rewards.sharded.ray import Needs, grouped
from beholder.rewards.sharded.ray_actor import Answer, Died, Work
from beholder.rewards.sharded.running import ShardedConfig, ShardedSummary, run_sharded
from beholder.rewards.sharded.worker import Worker
from beholder.storage import Place
from tests.archives import encoded, write_tar
from tests.rewards.sharded.deadly import ONCE, POISON

pytest.importorskip("ray")
# Ray warns of its own settings.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")


DEADLY: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "deadly": ("tests.rewards.sharded.deadly:Deadly", {"marker": "none"})
}


def job(**options: object) -> Job:
    spec = {n: options.pop(n) for n in ("device", "decoders") if n in options}
    made = WorkerSpec(folder="out", source="in", rewards={}, **spec)  # type: ignore[arg-type]
    return Job(spec=made, **options)  # type: ignore[arg-type]


def works(count: int) -> list[Work]:
    return [Work(Shard(name=str(k), kind="list", source=""), 0) for k in range(count)]


def sizes(groups: list[list[Work]]) -> list[int]:
    return [len(group) for group in groups]


def test_an_actor_asks_for_its_decoders_and_one_more_core() -> None:
    needs = Needs.of(job(workers=3, decoders=5))
    assert (needs.least, needs.most) == (3, 3)
    assert needs.options() == {"num_cpus": 6, "num_gpus": 0}


def test_an_actor_on_a_gpu_asks_for_one_or_the_share_that_was_given() -> None:
    assert Needs.of(job(device="cuda")).gpus == 1
    assert Needs.of(job(device="cuda", gpus=0.25)).gpus == 0.25


def test_a_pool_grows_from_workers_to_most_workers() -> None:
    needs = Needs.of(job(workers=2, most_workers=16))
    assert (needs.least, needs.most) == (2, 16)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"device": "cuda:1"}, "give cuda, not cuda:1"),
        ({"gpus": 0.5}, "give cuda"),
        ({"device": "cuda", "gpus": 0.0}, "above 0"),
        ({"workers": 4, "most_workers": 2}, "4 to 2"),
    ],
)
def test_what_cannot_be_asked_of_ray_is_refused(options: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Needs.of(job(**options))


def test_actors_take_several_shards_while_there_are_many() -> None:
    assert sizes(grouped(works(7), set(), 2)) == [1] * 7
    assert sizes(grouped(works(17), set(), 2)) == [2] * 8 + [1]
    assert set(sizes(grouped(works(800), set(), 2))) == {8}


def test_ray_keeps_no_more_than_so_many_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_BLOCKS", 30)
    groups = grouped(works(600), set(), 1000)
    assert sizes(groups) == [20] * 30
    assert [w.shard.name for g in groups for w in g] == [str(k) for k in range(600)]


def test_shards_that_were_begun_before_are_handed_out_alone_and_last() -> None:
    groups = grouped(works(64), {"0", "9"}, 1)
    assert [[w.shard.name for w in g] for g in groups[-2:]] == [["0"], ["9"]]
    assert sum(sizes(groups)) == 64


def test_without_ray_the_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(MissingDependencyError, match=r"beholder\[ray\]"),
        engine.cluster(None, Needs.of(job())),
    ):
        pass


class Answers:
    """Stands for Ray: answers of each pass, the first of which is asked for."""

    def __init__(self, *passes: list[Answer | BaseException]) -> None:
        self.passes = list(passes)
        self.handed: list[list[list[str]]] = []

    def __call__(
        self, groups: list[list[Work]], make: tuple[WorkerSpec, float], needs: Needs
    ) -> Generator[Answer]:
        self.handed.append([[work.shard.name for work in group] for group in groups])
        for answer in self.passes.pop(0):
            if isinstance(answer, BaseException):
                raise answer
            if not isinstance(answer, Fatal):
                attempts.begin(RunFolder(Place(make[0].folder)), answer.shard)
            yield answer


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job of two shards, without a cluster."""
    tars = tmp_path / "tars"
    tars.mkdir()
    for name in ("a", "b"):
        write_tar(tars / f"{name}.tar", {"1.png": encoded(1)})
    spec = WorkerSpec(folder=str(tmp_path / "out"), source=str(tars), rewards=DEADLY)
    monkeypatch.setattr(engine, "cluster", lambda *_: nullcontext())
    monkeypatch.setattr(engine, "_claimed", lambda _, spec, __: Worker(spec).run)
    return Job(spec=spec, workers=1)


def done(name: str) -> ShardDone:
    return ShardDone(shard=name, rows=1, errors={}, seconds=1.0, footer={"shard": name})


def play(monkeypatch: pytest.MonkeyPatch, small: Job, *passes: list[Answer | BaseException]) -> Any:
    for name in ("a", "b"):
        small.folder.scores(name).write(b"")
    answers = Answers(*passes)
    monkeypatch.setattr(engine, "_answers", answers)
    return answers


def test_a_shard_that_fails_or_dies_is_handed_out_three_times(
    monkeypatch: pytest.MonkeyPatch, small: Job
) -> None:
    died, failed = Died("a", attempts.SILENT), ShardFailed(shard="b", why="cut off")
    ray = play(monkeypatch, small, [died, failed], [died, failed], [died, done("b")])
    engine.run(small)
    assert ray.handed == [[["a"], ["b"]]] * 3
    assert small.lost == {"a": f"{attempts.SILENT} (attempt 3)"}
    assert small.scored == 1


def test_what_was_not_told_is_handed_out_again_and_what_is_told_twice_counts_once(
    monkeypatch: pytest.MonkeyPatch, small: Job
) -> None:
    ray = play(monkeypatch, small, [done("a"), done("a")], [done("b")])
    engine.run(small)
    assert ray.handed == [[["a"], ["b"]], [["b"]]]
    assert small.scored == 2


def test_a_ray_that_tells_nothing_is_not_asked_for_ever(
    monkeypatch: pytest.MonkeyPatch, small: Job
) -> None:
    play(monkeypatch, small, [])
    with pytest.raises(DataError, match="told nothing"):
        engine.run(small)


def test_an_interruption_costs_the_shards_in_hand_no_attempt(
    monkeypatch: pytest.MonkeyPatch, small: Job
) -> None:
    attempts.begin(small.folder, "b")

    def begun_then_interrupted(*_: object) -> Generator[Answer]:
        attempts.begin(small.folder, "a")
        attempts.begin(small.folder, "b")
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(engine, "_answers", begun_then_interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.run(small)
    assert {n: found.begun for n, found in attempts.known(small.folder).items()} == {"b": 1}


def test_what_no_worker_can_do_ends_the_run(monkeypatch: pytest.MonkeyPatch, small: Job) -> None:
    play(monkeypatch, small, [Fatal(DataError, "the disk is full")])
    with pytest.raises(DataError, match="disk is full"):
        engine.run(small)


def test_workers_that_always_die_are_not_the_shards_fault(
    monkeypatch: pytest.MonkeyPatch, small: Job
) -> None:
    monkeypatch.setattr(job_module, "MOST_DEATHS", 2)
    play(monkeypatch, small, [Died("a", "gone"), Died("b", "gone")])
    with pytest.raises(DataError, match="2 workers died and none finished"):
        engine.run(small)


def test_two_drivers_do_not_share_a_folder(monkeypatch: pytest.MonkeyPatch, small: Job) -> None:
    play(monkeypatch, small, [done("a"), done("b")])
    (small.folder.place / "_run" / ".lock").write(b"")
    with (
        only_writer(Path(small.spec.folder) / "_run" / ".lock"),
        pytest.raises(DataError, match="another process"),
    ):
        engine.run(small)


LEVELS = {"a": [1, 2], "b": [POISON, 3], "c": [ONCE, 4], "d": [5, 6], "e": [7, 8], "f": [9]}


@dataclass(frozen=True)
class Scene:
    """Archives, of which one is deadly and one kills a worker once, and where scores go."""

    tars: Path
    out: Path
    marker: Path

    @property
    def rewards(self) -> dict[str, tuple[str, dict[str, object]]]:
        return {"deadly": ("tests.rewards.sharded.deadly:Deadly", {"marker": str(self.marker)})}

    @property
    def folder(self) -> RunFolder:
        return RunFolder(Place(self.out))

    def score(self, progress: Callable[[int], object] | None = None) -> ShardedSummary:
        config = ShardedConfig(engine="ray", workers=2, batch_size=2)
        return run_sharded(self.tars, self.rewards, self.out, config, progress=progress)

    def expected(self, out: Path) -> dict[str, bytes]:
        """The files that one worker in this process writes of the harmless shards."""
        self.marker.touch()
        spec = WorkerSpec(
            folder=str(out), source=str(self.tars), rewards=self.rewards, batch_size=2
        )
        worker = Worker(spec)
        for shard in Job(spec=spec).open(worker.run):
            if "b.tar" not in shard.source:
                worker.score(shard)
        return files(out)


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.parquet")}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    root = tmp_path_factory.mktemp("ray")
    tars = root / "tars"
    tars.mkdir()
    for name, levels in LEVELS.items():
        write_tar(tars / f"{name}.tar", {f"{n}.png": encoded(n) for n in levels})
    return Scene(tars, root / "out", root / "marker")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with engine.cluster("local", Needs(least=2, most=2, decoders=2, gpus=0)):
        yield


@pytest.mark.long
def test_over_dead_actors_ray_writes_the_files_that_one_worker_writes(
    scene: Scene, cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(attempts.MOST_ATTEMPTS - 1):
        attempts.begin(scene.folder, "b")
    pictures: list[int] = []

    summary = scene.score(pictures.append)

    assert scene.marker.exists()
    assert (summary.shards, summary.scored, summary.rows) == (6, 5, 9)
    assert summary.failed == {"b": f"{attempts.SILENT} (attempt 3)"}
    assert files(scene.out) == scene.expected(tmp_path / "plain")
    assert sum(pictures) == 9
    assert list(attempts.known(scene.folder)) == ["b"]
    assert capsys.readouterr().out == ""


def test_a_folder_with_other_scores_is_refused_before_any_actor_is_made(
    scene: Scene, cluster: None, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    Worker(WorkerSpec(folder=str(out), source=str(scene.tars), rewards=DEADLY))  # claims it
    config = ShardedConfig(engine="ray", workers=2, batch_size=2)
    with pytest.raises(ConfigError, match="holds scores by deadly, this run asks for tiny"):
        run_sharded(scene.tars, {"tiny": ("tiny", {})}, out, config)
