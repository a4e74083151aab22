from __future__ import annotations

import pytest

from beholder.errors import DataError
from beholder.eval.frechet import from_features
from beholder.eval.measures import find
from beholder.eval.measures._inception_distance import Options
from tests.eval.measures.frechet_sides import rows, side, sums_only

REAL, FAKE = rows(2, 50), rows(3, 40, mean=0.5)


def test_it_is_the_frechet_distance_of_the_spatial_layer() -> None:
    measure, options = find("sfid"), Options(ddof=0, groups=0)
    (need,) = measure.needs(options)
    assert (need.extractor, need.layer, need.settings) == (
        "inception",
        "sfid",
        (("resize", "tf1"),),
    )
    for real in (side("real", need, REAL), sums_only("real", need, REAL)):
        (found,) = measure.compute(real, side("fake", need, FAKE), options)
        assert (found.metric, found.protocol["layer"]) == ("sfid", "sfid")
        assert found.value == pytest.approx(float(from_features(REAL, FAKE, ddof=0)), rel=1e-12)
    with pytest.raises(DataError, match="sfid compares"):
        measure.compute(None, side("fake", need, FAKE), options)
