"""The driver: nothing is lost, done twice or tried for ever, whoever dies."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from beholder._run_folder import Run, Shard
from beholder.errors import ConfigError, DataError, WeightsError
from beholder.rewards.sharded import attempts, processes
from beholder.rewards.sharded.channel import Fatal, Progress, Ready
from beholder.rewards.sharded.hand import Events, Hand
from beholder.rewards.sharded.job import Job, ShardDone, ShardFailed, WorkerSpec
from beholder.rewards.sharded.worker import Worker
from tests.rewards.sharded.hostile import DEADLY, job, write_pictures

RUN = Run(source="s", rewards={"r": {}})


class Script:
    """Stands in for worker processes: what each shard does to its worker, and what was seen."""

    def __init__(self, fates: dict[str, str]) -> None:
        self.fates = fates
        self.given: list[tuple[str, ...]] = []
        self.devices: list[str | None] = []
        self.starts = 0
        self.at_load: object | None = Ready(RUN)


class FakeHand(Hand):
    """A worker whose shards are done, bad, hang, or kill it."""

    script: Script

    def __init__(self, spec: WorkerSpec, stall_seconds: float, events: Events) -> None:
        self.in_hand: dict[str, Shard] = {}
        self.is_ready = self.stalled = self.is_dead = False
        self._folder, self._events = Path(spec.folder), cast("Any", events)
        self.script.starts += 1
        self.script.devices.append(spec.device)
        self._say(self.script.at_load)

    def _say(self, message: object | None) -> None:
        self._events.put((self, message))

    def give(self, shard: Shard) -> None:
        self.in_hand[shard.name] = shard
        self.script.given.append(tuple(self.in_hand))
        fate = "lost" if self.is_dead else self.script.fates.get(shard.name, "done")
        if fate == "done":
            (self._folder / f"{shard.name}.parquet").touch()
            footer = {"shard": shard.name, "rows": 1, "errors": {"r": {}}}
            self._say(Progress(1))
            self._say(
                ShardDone(shard=shard.name, rows=1, errors={"r": {}}, seconds=0.0, footer=footer)
            )
        elif fate == "bad":
            self._say(ShardFailed(shard=shard.name, why=f"{shard.name} is cut off"))
        elif fate == "fatal":
            self._say(Fatal(WeightsError, "no weights"))
        elif fate == "dies":
            self.is_dead = True
            self._say(None)

    def heard(self) -> None:
        return

    def silent_for(self) -> float:
        return 1e9 if any(self.script.fates.get(n) == "hangs" for n in self.in_hand) else 0.0

    def kill(self) -> None:
        if not self.is_dead:
            self.is_dead = True
            self._say(None)

    def cause_of_death(self) -> str:
        return "it stalled" if self.stalled else "it was killed"

    def was_killed(self) -> bool:
        return True

    def dismiss(self) -> None:
        assert not self.in_hand

    def wait(self, seconds: float) -> bool:
        return True


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "p", [20 * k for k in range(1, 13)])


def played(
    work: Job, fates: dict[int, str], monkeypatch: pytest.MonkeyPatch, *, fails: bool = False
) -> Script:
    """What happens if shard k of the plan meets its fate."""
    work.folder.write_run(RUN)
    script = Script({f"part-{k:07d}": fate for k, fate in fates.items()})
    monkeypatch.setattr(FakeHand, "script", script, raising=False)
    monkeypatch.setattr(processes, "Hand", FakeHand)
    monkeypatch.setattr(processes, "_TICK", 0.01)
    if not fails:
        processes.run(work)
        work.close()
    return script


def test_each_shard_is_done_once_and_the_next_waits_at_the_worker(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = job(pictures, tmp_path / "out")
    calls: list[int] = []
    work.progress = calls.append
    script = played(work, {}, monkeypatch)
    assert (work.scored, work.rows, sum(calls), script.starts) == (6, 6, 6, 1)
    assert script.given[0] == ("part-0000000",)
    assert script.given[1] == ("part-0000000", "part-0000001")
    assert attempts.known(work.folder) == {}


def test_the_last_shards_are_kept_for_workers_that_are_free(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = job(pictures, tmp_path / "out")
    work.workers = 4
    script = played(work, {}, monkeypatch)
    assert script.starts == 4
    assert work.scored == 6


def test_a_shard_that_kills_its_worker_is_tried_alone_and_given_up(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = job(pictures, tmp_path / "out")
    script = played(work, {1: "dies", 3: "bad"}, monkeypatch)
    poison, bad = "part-0000001", "part-0000003"
    assert work.scored == 4
    assert work.lost == {
        poison: "it was killed (attempt 3)",
        bad: "part-0000003 is cut off (attempt 3)",
    }
    begun = Counter(names[-1] for names in script.given)
    assert begun[poison] == begun[bad] == 3
    assert begun["part-0000000"] == 1
    tried = [names for names in script.given if names[-1] == poison]
    assert tried[1:] == [(poison,)] * 2
    assert json.loads(work.folder.failed_file().read()) == work.lost


def test_a_worker_that_does_nothing_is_replaced(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = job(pictures, tmp_path / "out")
    script = played(work, {5: "hangs"}, monkeypatch)
    assert work.lost == {"part-0000005": "it stalled (attempt 3)"}
    assert (work.scored, script.starts) == (5, 3)


def test_what_no_worker_could_do_stops_the_run_and_blames_no_shard(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = job(pictures, tmp_path / "out")
    script = played(work, {0: "fatal"}, monkeypatch, fails=True)
    with pytest.raises(WeightsError, match="no weights"):
        processes.run(work)
    assert attempts.known(work.folder) == {}
    script.at_load = Fatal(ConfigError, "no reward named x")
    with pytest.raises(ConfigError, match="no reward named x"):
        processes.run(work)
    script.at_load = None
    with pytest.raises(DataError, match="could not load the rewards: it was killed"):
        processes.run(work)
    assert script.starts == 1 + 1 + processes.MOST_UNBORN
    monkeypatch.setattr(FakeHand, "was_killed", lambda hand: False)
    with pytest.raises(DataError, match="could not load the rewards"):
        processes.run(work)
    assert script.starts == 1 + 1 + processes.MOST_UNBORN + 1


def test_a_driver_that_was_away_accuses_nobody(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = job(pictures, tmp_path / "out")
    played(work, {5: "hangs"}, monkeypatch, fails=True)
    driver = processes._Driver(work)
    hand = FakeHand(work.spec, 1.0, driver._events)
    hand.in_hand = {"part-0000005": Shard(name="part-0000005", kind="list", source="s")}
    driver._hands[0] = hand
    driver._looked -= 100
    driver._judge()
    assert not hand.is_dead
    driver._judge()
    assert hand.is_dead


def test_workers_that_all_die_stop_the_run(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = job(pictures, tmp_path / "out")
    played(work, dict.fromkeys(range(6), "dies"), monkeypatch, fails=True)
    with pytest.raises(DataError, match="10 workers died and none finished a shard"):
        processes.run(work)


def test_gpus_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    devices = [processes.device_of("cuda", k) for k in range(3)]
    assert devices == ["cuda:0", "cuda:1", "cuda:0"]
    assert processes.device_of("cuda:1", 0) == "cuda:1"
    assert processes.device_of(None, 5) is None
    assert processes.worker_count("cuda") == 2
    assert processes.worker_count(None) == os.cpu_count()


@pytest.mark.long
def test_after_kills_of_worker_and_driver_nothing_is_lost_or_done_twice(
    pictures: Path, tmp_path: Path
) -> None:
    harmless = (pictures / "03.png").read_bytes()
    Image.new("RGB", (8, 8), (255, 255, 255)).save(pictures / "03.png")
    for k in range(12, 400):
        Image.new("RGB", (9, 9), (k % 256, 9, 9)).save(pictures / f"x{k}.png")
    out = tmp_path / "out"
    program = "from tests.rewards.sharded.hostile import drive; drive()"
    driver = subprocess.Popen(
        [sys.executable, "-c", program, str(pictures), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert driver.stdout is not None
    assert driver.stderr is not None
    done = 0
    while done < 5:  # shard 1 has killed the first worker by then
        done = int(driver.stdout.readline().split()[0])
    driver.send_signal(signal.SIGKILL)
    assert driver.stderr.read() == b""  # until the worker, which has it too, is gone
    driver.stdout.close()
    driver.stderr.close()
    driver.wait()
    (pictures / "03.png").write_bytes(harmless)
    work = job(pictures, out, DEADLY)
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    assert 2 <= len(times) < 200
    worker = Worker(work.spec)
    left = work.open(worker.run)
    # those that the first worker had in hand; the second ended with its driver and blamed none
    suspects = ["part-0000001", "part-0000002"]
    assert sorted(attempts.known(work.folder)) == suspects
    assert [shard.name for shard in left[-2:]] == suspects
    for shard in left:
        work.done(worker.score(shard))
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert (len(work.before.done), work.scored) == (len(times), 200 - len(times))
    keys = [k for f in sorted(out.glob("*.parquet")) for k in pq.read_table(f)["key"].to_pylist()]
    assert keys == sorted(path.name for path in pictures.glob("*.png"))
