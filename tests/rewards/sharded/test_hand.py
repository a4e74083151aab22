"""A driver hears of its workers what they say, that they are silent, and why they are gone."""

import queue
import signal
import time

import pytest

from beholder._run_folder import Shard
from beholder.rewards.sharded import hand as hands
from beholder.rewards.sharded.hand import Events, Hand
from beholder.rewards.sharded.job import WorkerSpec

SPEC = WorkerSpec(folder="/out", source="/in", rewards={})


def started(program: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Hand, Events]:
    monkeypatch.setattr(hands, "PROGRAM", program)
    events: Events = queue.SimpleQueue()
    return Hand(SPEC, 5.0, events), events


def gone(events: Events) -> object:
    return events.get(timeout=60)[1]


def test_a_worker_that_is_killed_is_gone_by_its_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    hand, events = started("import time; time.sleep(600)", monkeypatch)
    hand.kill()
    assert gone(events) is None
    assert hand.cause_of_death() == "its worker was killed (SIGKILL, signal 9)"
    assert hand.was_killed()
    hand.stalled = True
    assert "finished no batch" in hand.cause_of_death()
    hand.give(Shard(name="a", kind="list", source="s"))
    hand.dismiss()


def test_a_worker_that_ends_says_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    hand, events = started("raise SystemExit(7)", monkeypatch)
    assert gone(events) is None
    assert hand.cause_of_death() == "its worker ended (exit code 7)"
    assert not hand.was_killed()
    assert hand.wait(1)


def test_messages_of_a_worker_are_events(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import pickle, sys; pickle.dump('hello', sys.stdout.buffer)"
    hand, events = started(program, monkeypatch)
    assert events.get(timeout=60) == (hand, "hello")
    assert gone(events) is None
    assert hand.wait(60)


def test_only_a_worker_with_work_can_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    hand, events = started("import signal; signal.pause()", monkeypatch)
    clock = 50.0
    assert hand.silent_for() == 0
    hand.give(Shard(name="a", kind="list", source="s"))
    clock = 60.0
    assert hand.silent_for() == 0  # it still loads
    hand.is_ready = True
    assert hand.silent_for() == 10
    hand.heard()
    assert hand.silent_for() == 0
    assert not hand.wait(0)
    hand.kill()
    assert gone(events) is None
    assert str(-signal.SIGKILL)[1:] in hand.cause_of_death()
