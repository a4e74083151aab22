"""Two metrics that differ in their layer."""

from __future__ import annotations

import pytest

from beholder.errors import ConfigError
from beholder.eval.measures import find
from beholder.eval.measures._inception_distance import Options, distance_of
from tests.eval.measures.frechet_sides import rows, side

REAL, FAKE = rows(4, 50), rows(5, 40, mean=0.5)


@pytest.mark.parametrize(("metric", "layer"), [("fid", "2048"), ("sfid", "sfid")])
def test_a_metric_is_the_distance_of_its_layer(metric: str, layer: str) -> None:
    needs, compute = distance_of("mine", layer)
    options = Options(resize="clean", groups=0)
    (need,) = needs(options)
    assert find(metric).needs(options) == [need]
    assert (need.layer, need.settings) == (layer, (("resize", "clean"),))
    real, fake = side("real", need, REAL), side("fake", need, FAKE)
    (mine,) = compute(real, fake, options)
    (found,) = find(metric).compute(real, fake, options)
    assert (mine.metric, found.metric) == ("mine", metric)
    assert mine.value == found.value


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="resize"):
        Options(resize="bicubic")
    with pytest.raises(ConfigError, match="groups"):
        Options(groups=1)
