"""Pauses that grow, are drawn, heed the server and end."""

import random
from datetime import UTC, datetime

import pytest

from beholder.errors import ConfigError
from beholder.rewards._remote.retries import Retries, retry_after


def longest(low: float, high: float) -> float:
    assert low == 0
    return high


def test_pauses_double_up_to_the_most() -> None:
    retries = Retries(first=0.1, most=1.0)
    pauses = [retries.pause(tries, draw=longest) for tries in range(1, 7)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert retries.pause(10**9, draw=longest) == 1.0


def test_a_pause_is_never_shorter_than_the_server_asked_for() -> None:
    assert Retries(first=0.5).pause(1, 3.0, draw=lambda low, high: low) == 3.0
    assert Retries(first=0.5).pause(1, 3.0, draw=longest) == 3.5


def test_pauses_are_spread_and_leave_the_numbers_of_a_run_alone() -> None:
    random.seed(0)
    before = random.getstate()
    pauses = {Retries(first=1.0).pause(1) for _ in range(20)}
    assert random.getstate() == before
    assert len(pauses) == 20
    assert all(0 <= pause <= 1 for pause in pauses)


def test_patience_ends_sooner_where_nothing_is() -> None:
    retries = Retries(patience=60, absent=10)
    assert [retries.is_over(s) for s in (9, 11, 60, 61)] == [False, False, False, True]
    assert [retries.is_over(s, absent=True) for s in (9, 11)] == [False, True]
    assert not Retries(patience=3600).is_over(3000, absent=True)
    assert Retries(patience=5, absent=10).is_over(6, absent=True)


@pytest.mark.parametrize("patience", [-1.0, float("nan")])
def test_patience_is_a_number_of_seconds(patience: float) -> None:
    with pytest.raises(ConfigError, match="patience must be 0 seconds or more"):
        Retries(patience=patience)


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("2", 2.0),
        (" 0 ", 0.0),
        ("Fri, 02 Jan 2026 03:04:15 GMT", 10.0),
        ("Fri, 02 Jan 2026 03:04:15 -0000", 10.0),
        ("Fri, 02 Jan 2026 03:04:00 GMT", 0.0),
        ("9" * 400, 999_999_999.0),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_server_says_when_in_seconds_or_as_a_date(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after(header, lambda: NOW) == seconds
