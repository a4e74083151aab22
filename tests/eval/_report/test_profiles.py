import math

import numpy as np
import pytest

from beholder.eval._report.columns import Columns
from beholder.eval._report.profiles import beaten_shares, profile_axis, profiles
from beholder.eval.report import Profile


def test_the_share_that_a_value_beats_counts_ties_and_itself_half() -> None:
    shares = beaten_shares(np.array([1.0, 2.0, 2.0, math.nan, 5.0]))
    np.testing.assert_allclose(shares, [1 / 8, 4 / 8, 4 / 8, math.nan, 7 / 8])


def test_the_mean_share_is_the_chance_to_beat_a_picture_of_all() -> None:
    values = np.random.default_rng(0).normal(size=40)
    brute = np.mean([[np.sign(a - b) / 2 + 0.5 for b in values] for a in values[:10]])
    assert beaten_shares(values)[:10].mean() == pytest.approx(brute)


def columns(**scores: list[float]) -> Columns:
    count = len(next(iter(scores.values())))
    return Columns(
        scores={name: np.array(values, np.float64) for name, values in scores.items()},
        checkpoints=np.arange(count) % 2,
        cells=np.zeros(count, np.uint64),
        groups=["even", "odd"],
        unread=(),
    )


def test_each_checkpoint_has_a_share_and_a_mean_in_each_dimension() -> None:
    table = columns(a=[0, 9, 1, 8], b=[5, 5, 5, 5], c=[3, 0, 2, math.nan])
    even, odd = profiles(table, ["a", "b", "c"])
    assert (even.name, even.means) == ("even", {"a": 0.5, "b": 5.0, "c": 2.5})
    assert even.shares["a"] == pytest.approx(0.25)
    assert odd.shares == {"a": pytest.approx(0.75), "b": 0.5, "c": pytest.approx(1 / 6)}


def test_two_dimensions_make_no_radar() -> None:
    assert profiles(columns(a=[1, 2], b=[1, 2]), ["a", "b"]) == []


def test_the_axis_is_whole_tenths_around_the_shares() -> None:
    axis = profile_axis([Profile(name="x", shares={"a": 0.43, "b": 0.71}, means={})])
    assert (axis.low, axis.high) == (0.3, 0.8)
    assert axis.ticks == (0.4, 0.5, 0.6, 0.7, 0.8)
    even = profile_axis([Profile(name="x", shares={"a": 0.5}, means={})])
    assert even.low < 0.5 < even.high
