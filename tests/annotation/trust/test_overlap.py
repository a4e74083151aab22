import pytest

from beholder.annotation.trust.intervals import Interval
from beholder.annotation.trust.overlap import overlap, shared_tasks
from beholder.errors import ConfigError

GIVEN = [("k", "x"), ("k", "y"), ("k", "unknown"), ("m", "x"), ("n", "y"), ("n", "x")]


def test_tasks_are_counted_by_how_many_people_answered() -> None:
    percent = {"overall": Interval(0.5, 0.4, 0.6)}
    found = overlap(GIVEN, percent, 20)
    assert (found.tasks, found.shared, found.people) == (3, 2, {1: 1, 2: 1, 3: 1})
    assert (found.wanted, found.percent) == (0.2, percent)
    assert overlap([], {}).wanted is None


@pytest.mark.parametrize("percent", [-1, 100.5, float("nan")])
def test_a_share_that_cannot_be_is_refused(percent: float) -> None:
    with pytest.raises(ConfigError, match=r"expected a number in \[0, 100\]"):
        overlap(GIVEN, {}, percent)


def test_each_annotator_has_tasks_and_shared_ones() -> None:
    assert shared_tasks(GIVEN) == {"x": (3, 2), "y": (2, 2), "unknown": (1, 1)}
