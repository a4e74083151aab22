import math

import pytest

from beholder.annotation.trust.speed import THRESHOLD, kind_of, paces, speeds
from beholder.types import Rating
from tests.annotation.samples import comparison

SECONDS = [2.0, 4.0, 8.0, 16.0, 32.0]


def test_too_fast_is_beyond_three_and_a_half_robust_deviations_of_log_seconds() -> None:
    """Median 8, MAD log 2: the limit is 8 / 2^(3.5 / 0.6745)."""
    rows = [comparison(f"k{n}", "x", 1, seconds=s) for n, s in enumerate(SECONDS)]
    (pace,) = paces(rows).values()
    assert pace.seconds == pytest.approx(8)
    assert pace.too_fast_below == pytest.approx(8 / 2 ** (THRESHOLD / 0.6745))
    fast = comparison("fast", "y", 1, seconds=pace.too_fast_below / 2)
    found = speeds([*rows, fast], {"ask": pace})
    assert (found["y"].too_fast.value, found["x"].too_fast.value) == (1, 0)
    assert (found["x"].seconds, found["x"].answers) == (8, 5)


def test_slow_answers_are_no_fault() -> None:
    rows = [comparison(f"k{n}", "x", 1, seconds=s) for n, s in enumerate([*SECONDS, 1e6])]
    assert speeds(rows, paces(rows))["x"].too_fast.value == 0


def test_each_kind_of_task_has_its_own_pace() -> None:
    rows = [comparison(f"k{n}", "x", 1, seconds=s) for n, s in enumerate(SECONDS)]
    rows += [
        comparison(f"g{n}", "x", 1, seconds=100 * s, flags=frozenset({"gold"}))
        for n, s in enumerate(SECONDS)
    ]
    found = paces(rows)
    assert found["gold"].seconds == pytest.approx(100 * found["ask"].seconds)
    assert kind_of(comparison("k", "x", 1, flags=frozenset({"repeat"}))) == "repeat"


def test_no_time_no_speed_and_no_spread_no_outlier() -> None:
    silent = comparison("k", "x", 1)
    assert paces([silent]) == {}
    assert speeds([silent], {}) == {}
    same = [comparison(f"k{n}", "x", 1, seconds=5.0) for n in range(4)]
    same.append(comparison("z", "x", 1, seconds=0.0))
    assert paces(same)["ask"].too_fast_below == 0
    assert speeds(same, paces(same))["x"].too_fast.value == 0


def test_doubtful_answers_and_lost_names_do_not_count() -> None:
    rows = [comparison("k", "unknown", 1, seconds=3.0)]
    rows.append(comparison("m", "x", 1, seconds=1.0, flags=frozenset({"skipped"})))
    assert paces(rows)["ask"].answers == 1
    assert speeds(rows, paces(rows)) == {}


def test_ratings_have_a_speed_too() -> None:
    rows = [
        Rating(key=f"k{n}", prompt="p", image="i", annotator="x", seconds=s)
        for n, s in enumerate(SECONDS)
    ]
    found = speeds(rows, paces(rows))["x"]
    assert found.seconds == 8
    assert not math.isnan(found.too_fast.low)
