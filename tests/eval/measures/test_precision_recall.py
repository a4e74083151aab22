"""Four measurements, each with the rows that it is the mean of."""

import numpy as np
import pytest

from beholder.eval.measures._base import Need
from beholder.eval.measures.precision_recall import MEASURE, Network, Options, compute, needs
from tests.eval.measures.sides import positive, side_of, spread_of


@pytest.mark.parametrize(
    ("features", "layer", "resize"),
    [("inception", "2048", "tf1"), ("vgg16", "fc2_relu", "tf1"), ("dinov2", "cls", "dgm-uint8")],
)
def test_the_network_is_chosen_with_its_usual_layer_and_resize(
    features: Network, layer: str, resize: str
) -> None:
    (need,) = needs(Options(features=features))
    assert need == Need(extractor=features, layer=layer, settings=(("resize", resize),))
    chosen = "edm2" if features == "dinov2" else "clean"
    (other,) = needs(Options(features=features, resize=chosen))
    assert other.settings == (("resize", chosen),)


def test_each_figure_is_the_mean_of_its_samples_over_the_right_side() -> None:
    (need,) = needs(Options())
    real, fake = positive(60, 12, 0), positive(50, 12, 1, shift=0.3)
    found = {
        m.metric: m
        for m in compute(
            side_of("real", need, real), side_of("fake", need, fake), Options(draws=200)
        )
    }
    assert list(found) == ["precision", "recall", "density", "coverage"]
    for name, measurement in found.items():
        over = "real" if name in ("recall", "coverage") else "fake"
        assert all(key.startswith(over) for key in measurement.samples)
        assert len(measurement.samples) == {"real": 60, "fake": 50}[over]
        assert measurement.value == pytest.approx(np.mean(list(measurement.samples.values())))
        low, value, high = spread_of(measurement)
        assert low <= value <= high
        assert "balls held as they are" in measurement.interval
        assert measurement.protocol["extractor"] == "inception"
        assert (measurement.real, measurement.fake) == (60, 50)


def test_settings_are_in_the_protocol_of_the_figures_that_they_change() -> None:
    (need,) = needs(Options())
    sides = [side_of(n, need, positive(20, 4, s)) for s, n in enumerate(("real", "fake"))]
    options = Options(k=2, density_k=4, border="open", density_border="closed", draws=10)
    found = {m.metric: m.protocol for m in compute(sides[0], sides[1], options)}
    assert (found["recall"]["k"], found["recall"]["border"]) == (2, "open")
    assert (found["density"]["k"], found["density"]["border"]) == (4, "closed")


def test_the_card_says_which_way_is_better() -> None:
    assert MEASURE.best == "higher"
    assert MEASURE.has_real
