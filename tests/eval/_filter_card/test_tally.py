import math

import numpy as np
import numpy.typing as npt
import pytest

from beholder.eval._filter_card.tally import BINS, Tally, shown_range

NAN = float("nan")


def counted(*blocks: npt.ArrayLike) -> Tally:
    tally = Tally("x")
    for block in blocks:
        values = np.asarray(block, dtype=np.float64)
        tally.add(values, values > 0)
    return tally


def state(tally: Tally) -> tuple[object, ...]:
    bars = tally.bars(10**9, tally.low, tally.high)
    return tally.low, tally.high, tally.missing, bars


def test_kept_and_dropped_rows_and_those_without_a_value_are_counted_apart() -> None:
    tally = Tally("x")
    tally.add([1.0, 2.0, NAN, math.inf, 3.0], [True, False, True, False, False])
    assert (tally.kept, tally.dropped, tally.missing) == (1, 2, (1, 1))
    assert (tally.low, tally.high) == (1, 3)


def test_the_counts_depend_on_neither_order_nor_blocks() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=900), [1e6, -40.0, 0.0]])
    whole = counted(values)
    rng.shuffle(values)
    assert state(counted(*np.array_split(values, 7))) == state(whole)
    assert state(counted(*values[:50, None], values[50:])) == state(whole)


def test_bars_hold_every_row_that_lies_in_them() -> None:
    values = np.random.default_rng(1).normal(size=5000)
    tally = counted(values)
    bars = tally.bars(40, tally.low, tally.high)
    assert 20 <= len(bars) <= 41
    for bar in bars:
        inside = values[(values >= bar.low) & (values < bar.high)]
        assert (bar.kept, bar.dropped) == ((inside > 0).sum(), (inside <= 0).sum())
    assert sum(bar.kept + bar.dropped for bar in bars) == 5000


def test_quantiles_are_those_of_the_values_to_the_width_of_a_bin() -> None:
    values = np.random.default_rng(2).gamma(2, size=20_000)
    tally = counted(values)
    width = 2 * (tally.high - tally.low) / BINS
    for share in (0, 0.01, 0.5, 0.9, 1):
        assert tally.quantile(share) == pytest.approx(np.quantile(values, share), abs=1.5 * width)


def test_one_value_and_none_and_far_ones_are_counted_too() -> None:
    one = counted([0.25] * 3)
    assert [one.quantile(share) for share in (0, 0.5, 1)] == [0.25] * 3
    assert math.isnan(counted([NAN]).quantile(0.5))
    assert all(map(math.isnan, shown_range(counted([NAN]), [])))
    far = counted([-1e300, 1e-300, 1e300, 0.0])
    assert (far.kept, far.dropped) == (2, 2)
    assert len(far.bars(40, far.low, far.high)) <= 41


def test_outliers_are_not_drawn_but_marks_always_are() -> None:
    tally = counted(np.concatenate([np.linspace(0, 1, 9_998), [500.0, -500.0]]))
    low, high = shown_range(tally, [2.0])
    assert low == pytest.approx(0, abs=1)
    assert high == 2
