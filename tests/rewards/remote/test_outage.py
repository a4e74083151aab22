"""A silence is told once when it lasts and once when it ends, by one of those that wait."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from beholder.rewards._remote.outage import QUIET, QUIET_IF_BUSY, Outage, spoken

PLACE = "http://host:8000"


def fail(outage: Outage, at: float, pause: float = 1.0, *, busy: bool = False) -> None:
    outage.lasts("no answer", began=at, until=at + pause, limit=300.0, busy=busy)


def test_it_is_told_once_that_it_lasts_and_once_that_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outage = Outage(PLACE)
    fail(outage, 100.0)
    assert not caplog.messages
    for at in (101.0, 105.0, 110.0):
        fail(outage, at)
    outage.ends(112.0)
    outage.ends(113.0)
    assert caplog.messages == [
        "no answer; waiting up to 300 s",
        f"{PLACE} answers again after 12 s",
    ]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_two_short_silences_are_none_that_lasts(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(PLACE)
    for at in (0.0, 50.0, 100.0):
        fail(outage, at)
        outage.ends(at + 1)
    assert not caplog.messages


@pytest.mark.parametrize(("busy", "quiet"), [(False, QUIET), (True, QUIET_IF_BUSY)])
def test_a_long_pause_is_told_before_it_begins(
    caplog: pytest.LogCaptureFixture, busy: bool, quiet: float
) -> None:
    fail(Outage(PLACE), 0.0, quiet - 0.1, busy=busy)
    assert not caplog.messages
    fail(Outage(PLACE), 0.0, quiet, busy=busy)
    assert len(caplog.messages) == 1


def test_who_waits_after_others_gave_up_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(PLACE)
    fail(outage, 0.0, 5.0)
    outage.is_given_up()
    fail(outage, 300.0)
    outage.ends(301.0)
    assert [text.split()[0] for text in caplog.messages] == ["no", "no", PLACE]
    assert caplog.messages[-1].endswith("after 301 s")


def test_many_threads_tell_it_once(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(PLACE)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: fail(outage, at, 9.0), [0.0] * 200))
        list(pool.map(outage.ends, [9.0] * 200))
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_knows_of_no_silence(
    caplog: pytest.LogCaptureFixture, copied: Callable[[Outage], Outage]
) -> None:
    outage = Outage(PLACE)
    fail(outage, 0.0, 5.0)
    copied(outage).ends(6.0)
    assert len(caplog.messages) == 1
    outage.ends(6.0)
    assert len(caplog.messages) == 2


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.04, "0.0 s"), (0.44, "0.4 s"), (9.96, "10 s"), (299.6, "300 s")]
)
def test_seconds_are_for_people(seconds: float, told: str) -> None:
    assert spoken(seconds) == told
