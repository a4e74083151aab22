import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval.frechet import from_features
from beholder.eval.measures._base import Sampling, Side
from beholder.eval.measures._chosen import choose
from beholder.eval.measures.fvd import MEASURE, Options, compute, needs
from beholder.eval.statistics import Statistics
from tests.eval.measures.clips import cloud, side


@pytest.mark.parametrize(
    ("settings", "extractor", "layer", "protocol", "ddof"),
    [
        ({}, "i3d", "logits", "stylegan-v", 0),
        ({"protocol": "cd-fvd"}, "i3d", "logits", "cd-fvd", 0),
        ({"protocol": "tf"}, "i3d", "logits", "tf", 1),
        ({"protocol": "tf", "ddof": 0}, "i3d", "logits", "tf", 0),
        ({"features": "videomae"}, "videomae", "pooled", "cd-fvd", 0),
        ({"features": "videomae", "protocol": "imagenet"}, "videomae", "pooled", "imagenet", 0),
    ],
)
def test_a_protocol_sets_network_frames_and_deviation(
    settings: dict[str, object], extractor: str, layer: str, protocol: str, ddof: int
) -> None:
    options = choose("fvd", settings).options
    (need,) = needs(options)
    assert (need.extractor, need.layer) == (extractor, layer)
    assert need.settings == (("protocol", protocol),)
    assert need.sampling == Sampling(frames=16)
    real, fake = cloud(40, 6, 0), cloud(30, 6, 1, 0.5)
    (found,) = compute(side({need: real}), side({need: fake}), options)
    assert found.value == pytest.approx(float(from_features(real, fake, ddof=ddof)), rel=1e-12)
    assert found.protocol["ddof"] == ddof
    assert found.protocol["resize"] == protocol
    assert found.protocol["clips"] == "first 16 frames, stride 1"
    assert (found.real, found.fake) == (40, 30)
    assert found.low is not None


def test_protocols_give_numbers_that_do_not_compare() -> None:
    made = []
    for protocol in ("stylegan-v", "tf"):
        options = choose("fvd", {"protocol": protocol}).options
        (need,) = needs(options)
        made += compute(side({need: cloud(30, 4, 0)}), side({need: cloud(30, 4, 1)}), options)
    with pytest.raises(DataError, match=r"resize.*ddof|ddof.*resize"):
        made[0].minus(made[1])


def test_few_videos_are_named_and_never_drawn_again() -> None:
    (need,) = needs(Options())
    (few,) = compute(side({need: cloud(20, 3, 0)}), side({need: cloud(3000, 3, 1)}), Options())
    assert "of 20 videos on one side, where published figures have 2048" in str(few.details["note"])
    assert (few.real, few.fake) == (20, 3000)
    (many,) = compute(side({need: cloud(2048, 3, 0)}), side({need: cloud(2048, 3, 1)}), Options())
    assert many.details["note"] == ""


def test_statistics_of_the_real_side_are_enough() -> None:
    (need,) = needs(Options())
    real, fake = side({need: cloud(50, 4, 0)}), side({need: cloud(50, 4, 1)})
    sums = Side(name="sums", statistics={need: Statistics.of(real.features[need])})
    (by_rows,), (by_sums,) = compute(real, fake, Options()), compute(sums, fake, Options())
    assert by_sums.value == pytest.approx(by_rows.value, rel=1e-10)


@pytest.mark.parametrize(
    "settings",
    [{"frames": 9}, {"features": "videomae", "protocol": "tf"}, {"protocol": "imagenet"}],
)
def test_what_a_network_cannot_do_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"^fvd: {list(settings)[-1]} must "):
        choose("fvd", settings)


def test_equal_sides_are_at_distance_0() -> None:
    (need,) = needs(Options())
    rows = cloud(60, 5, 0)
    (found,) = compute(side({need: rows}), side({need: rows.copy()}), Options())
    assert found.value == pytest.approx(0, abs=1e-9)


def test_it_is_a_metric_of_videos() -> None:
    assert MEASURE.takes == "videos"
    assert MEASURE.best == "lower"
