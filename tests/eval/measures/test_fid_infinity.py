from __future__ import annotations

import pytest

from beholder.errors import DataError
from beholder.eval.frechet import from_features
from beholder.eval.frechet_infinity import frechet_infinity
from beholder.eval.measures import find
from beholder.eval.measures.fid_infinity import Options
from tests.eval.measures.frechet_sides import rows, side, sums_only

REAL, FAKE = rows(6, 300), rows(7, 200, mean=0.5)


def test_it_is_the_intercept_of_the_line_with_its_interval() -> None:
    measure, options = find("fid_infinity"), Options(points=5, smallest=0.2, ddof=0, seed=3)
    (need,) = measure.needs(options)
    assert (need.extractor, need.layer, need.settings) == (
        "inception",
        "2048",
        (("resize", "tf1"),),
    )
    expected = frechet_infinity(REAL, FAKE, points=5, smallest=0.2, ddof=0, seed=3)
    for real in (side("real", need, REAL), sums_only("real", need, REAL)):
        (found,) = measure.compute(real, side("fake", need, FAKE), options)
        assert found.value == pytest.approx(expected.value, rel=1e-9)
        assert found.low is not None
        assert found.high is not None
        reach = 3.18245 * expected.standard_error  # Student's t of 3 degrees of freedom
        assert (found.high - found.low) / 2 == pytest.approx(reach, rel=0.02)
        assert found.details["fid"] == pytest.approx(float(from_features(REAL, FAKE, ddof=0)))
        assert found.details["sizes"] == [40, 50, 67, 100, 200]
        assert (found.real, found.fake) == (300, 200)
    told = {k: found.protocol[k] for k in ("points", "smallest", "ddof", "seed", "resize")}
    assert told == {"points": 5, "smallest": 0.2, "ddof": 0, "seed": 3, "resize": "tf1"}
    assert "note" not in found.details


def test_subsets_smaller_than_the_width_of_the_features_get_a_note() -> None:
    measure, options = find("fid_infinity"), Options(points=3)
    (need,) = measure.needs(options)
    few = rows(8, 50)
    (found,) = measure.compute(side("real", need, REAL), side("fake", need, few), options)
    assert "the smallest subset has 5 pictures of 6 values" in str(found.details["note"])


def test_statistics_of_generated_pictures_are_not_enough() -> None:
    measure, options = find("fid_infinity"), Options()
    (need,) = measure.needs(options)
    with pytest.raises(DataError, match="needs pictures or features"):
        measure.compute(side("real", need, REAL), sums_only("fake", need, FAKE), options)
    with pytest.raises(DataError, match="fid_infinity compares"):
        measure.compute(None, side("fake", need, FAKE), options)
