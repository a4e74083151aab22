"""KID by subsets and over all pairs, side by side."""

from dataclasses import replace

import numpy as np
import pytest

from beholder.eval._origin import UNKNOWN
from beholder.eval.kernel import kid, kid_subsets
from beholder.eval.measures._base import Measurement
from beholder.eval.measures.kid import Options, compute, needs
from tests.eval.measures.sides import positive, side_of, spread_of

SMALL = Options(subsets=20, size=40)


def measured(options: Options, rows: int = 90) -> list[Measurement]:
    (need,) = needs(options)
    real, fake = positive(rows, 10, 0), positive(80, 10, 1, shift=0.2)
    return list(compute(side_of("real", need, real), side_of("fake", need, fake), options))


def test_both_figures_are_those_of_the_functions() -> None:
    real, fake = positive(90, 10, 0), positive(80, 10, 1, shift=0.2)
    subsets, exact = measured(SMALL)
    expected = kid_subsets(real, fake, subsets=20, size=40)
    assert subsets.metric == "kid"
    assert subsets.value == expected.mean
    assert subsets.details["deviation"] == expected.deviation
    assert subsets.protocol["estimator"] == "20 subsets of 40"
    assert exact.metric == "kid_exact"
    assert exact.value == kid(real, fake).value
    assert (exact.real, exact.fake) == (90, 80)
    low, value, high = spread_of(exact)
    assert low < value < high


def test_the_interval_of_subsets_is_a_little_wider_than_that_of_all_pairs() -> None:
    subsets, exact = measured(SMALL)
    low, _, high = spread_of(subsets)
    exact_low, _, exact_high = spread_of(exact)
    drawn = 1.96 * float(str(subsets.details["deviation"])) / np.sqrt(20)
    half = (exact_high - exact_low) / 2
    assert (high - low) / 2 == pytest.approx(np.hypot(half, drawn))


def test_too_few_pictures_for_a_subset_have_a_reason_and_an_exact_figure() -> None:
    subsets, exact = measured(Options())
    assert subsets.value is None
    assert "subsets of 1000 rows cannot be drawn from 80" in subsets.why
    assert "--set kid.size=80 or --set kid.shrink=true" in subsets.why
    assert exact.value is not None
    shrunk, _ = measured(Options(shrink=True, subsets=5))
    assert shrunk.value is not None
    assert shrunk.protocol["estimator"] == "5 subsets of 80"


def test_without_the_exact_figure_there_is_no_interval() -> None:
    (subsets,) = measured(Options(subsets=5, size=40, exact=False))
    assert (subsets.low, subsets.high, subsets.interval) == (None, None, "")
    assert measured(Options(subsets=5, size=40, groups=0))[0].low is None


def test_figures_of_other_subsets_do_not_compare() -> None:
    first, _ = measured(SMALL)
    second, _ = measured(Options(subsets=20, size=41))
    with pytest.raises(ValueError, match=r"20 subsets of 40 and 20 subsets of 41"):
        first.minus(second)


def test_what_was_assumed_is_said_even_where_there_is_no_figure() -> None:
    (need,) = needs(Options())
    real = side_of("real", need, positive(90, 10, 0))
    features = real.features[need]
    origin = replace(features.origin, weights=UNKNOWN)
    theirs = replace(real, features={need: replace(features, origin=origin)})
    for options in (SMALL, Options()):
        found = compute(theirs, side_of("fake", need, positive(80, 10, 1)), options)
        assert [each.details["assumed"] for each in found] == [["weights"]] * 2
    assert found[0].value is None
