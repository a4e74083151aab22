"""A worker process serves its driver, and ends with it without blaming a shard."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from beholder._run_folder import RunFolder, Shard
from beholder.errors import ConfigError
from beholder.rewards.sharded import attempts
from beholder.rewards.sharded.channel import Channel, Fatal, Progress, Ready, Stop
from beholder.rewards.sharded.job import ShardDone
from beholder.rewards.sharded.worker_process import Inbox, serve
from beholder.storage import Place
from tests.rewards.sharded.hostile import job, write_pictures

SHARDS = [Shard(name=name, kind="list", source="s") for name in "ab"]


@pytest.fixture
def ends(request: pytest.FixtureRequest) -> tuple[Channel, Channel]:
    """A driver's and a worker's end of one channel."""
    to_worker, to_driver = os.pipe(), os.pipe()
    driver = Channel(os.fdopen(to_driver[0], "rb"), os.fdopen(to_worker[1], "wb"))
    worker = Channel(os.fdopen(to_worker[0], "rb"), os.fdopen(to_driver[1], "wb"))
    request.addfinalizer(worker.close)
    request.addfinalizer(driver.close)
    return driver, worker


@pytest.fixture(autouse=True)
def alarms(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Alarms that were set; none rings."""
    found: list[int] = []
    monkeypatch.setattr(signal, "alarm", found.append)
    return found


def test_shards_are_scored_and_reported_in_order(
    tmp_path: Path, ends: tuple[Channel, Channel], alarms: list[int]
) -> None:
    work = job(write_pictures(tmp_path / "p", [50] * 6), tmp_path / "out")
    driver, worker = ends
    serving = threading.Thread(target=serve, args=(worker, work.spec, 5.0))
    serving.start()
    ready = driver.receive()
    assert isinstance(ready, Ready)
    shards = work.open(ready.run)
    for message in (*shards, Stop()):
        driver.send(message)
    serving.join()
    worker.hang_up()
    said = []
    while (message := driver.receive()) is not None:
        said.append(message)
    assert [m.shard for m in said if isinstance(m, ShardDone)] == [s.name for s in shards]
    assert sum(m.pictures for m in said if isinstance(m, Progress)) == 6
    assert alarms[0] == 70
    assert alarms[-1] == 0


def test_what_cannot_be_loaded_is_reported(tmp_path: Path, ends: tuple[Channel, Channel]) -> None:
    driver, worker = ends
    serve(worker, job(tmp_path, tmp_path / "out", "tini").spec, 5.0)
    said = driver.receive()
    assert isinstance(said, Fatal)
    assert said.kind is ConfigError
    assert "did you mean 'tiny'" in said.text
    driver.send(Stop())


def test_shards_that_are_there_are_taken_without_waiting(
    tmp_path: Path, ends: tuple[Channel, Channel]
) -> None:
    driver, worker = ends
    inbox = Inbox(worker, RunFolder(Place(tmp_path)))
    assert next(inbox.arriving()) is None
    driver.send(SHARDS[0])
    assert inbox.wait() == SHARDS[0]
    assert inbox.in_hand == {"a"}
    inbox.reported("a")
    assert inbox.in_hand == set()
    driver.send(Stop())
    assert inbox.wait() is None


def test_a_worker_without_its_driver_takes_its_attempts_back(
    tmp_path: Path,
    ends: tuple[Channel, Channel],
    alarms: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = threading.Event()
    codes: list[int] = []

    def leave(code: int) -> Any:
        codes.append(code)
        left.set()

    monkeypatch.setattr(os, "_exit", leave)
    folder = RunFolder(Place(tmp_path))
    driver, worker = ends
    inbox = Inbox(worker, folder)
    for shard in SHARDS:
        attempts.begin(folder, shard.name)
        driver.send(shard)
        assert inbox.wait() == shard
    inbox.reported("b")
    driver.hang_up()
    assert left.wait(60)
    assert codes == [1]
    assert alarms == [20]
    assert set(attempts.known(folder)) == {"b"}
