from __future__ import annotations

import pytest

from beholder.errors import DataError
from beholder.eval.frechet import from_features
from beholder.eval.measures import find
from beholder.eval.measures.fd_dinov2 import Options
from tests.eval.measures.frechet_sides import rows, side, sums_only

REAL, FAKE = rows(4, 50), rows(5, 40, mean=0.5)


def test_it_is_the_frechet_distance_of_the_class_token() -> None:
    measure, options = find("fd_dinov2"), Options(groups=3)
    (need,) = measure.needs(options)
    assert (need.extractor, need.layer, need.settings) == (
        "dinov2",
        "cls",
        (("resize", "dgm-uint8"),),
    )
    for real in (side("real", need, REAL), sums_only("real", need, REAL)):
        (found,) = measure.compute(real, side("fake", need, FAKE), options)
        assert found.metric == "fd_dinov2"
        assert found.value == pytest.approx(float(from_features(REAL, FAKE)), rel=1e-12)
        assert "3 groups of the fake side" in found.interval
    with pytest.raises(DataError, match="fd_dinov2 compares"):
        measure.compute(None, side("fake", need, FAKE), options)


def test_the_preparation_is_a_setting_of_the_extractor() -> None:
    (need,) = find("fd_dinov2").needs(Options(preparation="edm2"))
    assert need.settings == (("resize", "edm2"),)
