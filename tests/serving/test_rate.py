"""How long items take follows what was measured of late, by a clock of the test's own."""

import pytest

from beholder.serving.rate import Rate
from tests.serving.test_queueing import Clock


def test_a_rate_forgets_how_fast_it_once_was() -> None:
    clock = Clock()
    rate = Rate(clock)
    assert rate.seconds(1) is None
    for seconds in [0.1] * 100 + [2.0] * 100:
        clock.now += seconds
        rate.done()
    assert rate.seconds(10) == pytest.approx(20, rel=0.01)


def test_items_that_end_together_count_as_the_batch_that_they_were() -> None:
    clock = Clock()
    rate = Rate(clock)
    for _ in range(20):
        clock.now += 4.0
        for _ in range(32):
            rate.done()
    assert rate.seconds(32) == pytest.approx(4.0, rel=0.01)


def test_a_pass_tells_of_its_reward_and_workers_share_the_work() -> None:
    rate = Rate()
    rate.passed("r", 4, 2.0)
    rate.passed("s", 1, 3.0)
    r, both, other = frozenset("r"), frozenset("rs"), frozenset("q")
    assert rate.seconds_of({r: 10}) == 5.0
    assert rate.seconds_of({r: 10, both: 2, other: 99}) == 5.0 + 2 * 3.5
    assert (rate.seconds_of_pass(both), rate.seconds_of_pass(other)) == (5.0, 0.0)
    rate.workers = 2
    assert rate.seconds_of({r: 10}) == 2.5
    assert rate.seconds(1) is None  # nothing was answered


def test_a_full_pass_soon_outweighs_many_of_one_item() -> None:
    rate = Rate()
    for _ in range(100):
        rate.passed("r", 1, 0.2)
    for _ in range(3):
        rate.passed("r", 32, 0.5)
    assert rate.seconds_of({frozenset("r"): 32}) == pytest.approx(0.5, rel=0.3)
