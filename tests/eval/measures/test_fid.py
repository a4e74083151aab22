from __future__ import annotations

import pytest

from beholder.errors import DataError
from beholder.eval.frechet import from_features
from beholder.eval.measures import find
from beholder.eval.measures._inception_distance import Options
from tests.eval.measures.frechet_sides import rows, side, sums_only

REAL, FAKE = rows(0, 50), rows(1, 40, mean=0.5)


def test_it_reads_the_pool_features_of_the_resize_that_was_asked_for() -> None:
    (need,) = find("fid").needs(Options(resize="clean"))
    assert (need.extractor, need.layer) == ("inception", "2048")
    assert need.settings == (("resize", "clean"),)
    assert need.sampling is None


@pytest.mark.parametrize("ddof", [0, 1])
def test_it_is_the_frechet_distance_of_both_sides(ddof: int) -> None:
    measure, options = find("fid"), Options(ddof=ddof, groups=4)
    (need,) = measure.needs(options)
    (found,) = measure.compute(side("real", need, REAL), side("fake", need, FAKE), options)
    assert found.metric == "fid"
    assert found.value == pytest.approx(float(from_features(REAL, FAKE, ddof=ddof)), rel=1e-12)
    assert found.protocol["ddof"] == ddof
    assert "4 groups" in found.interval


def test_statistics_are_enough() -> None:
    measure, options = find("fid"), Options()
    (need,) = measure.needs(options)
    assert measure.from_sums
    (found,) = measure.compute(sums_only("a", need, REAL), sums_only("b", need, FAKE), options)
    assert found.value == pytest.approx(float(from_features(REAL, FAKE)), rel=1e-12)


def test_it_needs_a_real_side() -> None:
    options = Options()
    (need,) = find("fid").needs(options)
    with pytest.raises(DataError, match="fid compares with real pictures"):
        find("fid").compute(None, side("fake", need, FAKE), options)
