from __future__ import annotations

from dataclasses import replace

import pytest

from beholder.errors import ConfigError, DataError
from beholder.eval._features import Features
from beholder.eval._origin import UNKNOWN, Origin
from beholder.eval.frechet import from_features, with_interval
from beholder.eval.measures._base import Need, Sampling, Side, check_comparable
from beholder.eval.measures._frechet import (
    assumed,
    frechet_measurement,
    jackknife_text,
    known,
    notes,
)
from beholder.eval.statistics import Statistics
from tests.eval.exact_frechet import ORIGIN
from tests.eval.measures.frechet_sides import rows, side, sums_only

NEED = Need(extractor="tiny", layer="pool")
REAL, FAKE = rows(0, 50), rows(1, 40, mean=0.5)


def test_it_says_the_distance_its_terms_and_its_interval() -> None:
    real, fake = side("real", NEED, REAL), side("fake", NEED, FAKE)
    found = frechet_measurement("fd", real, fake, NEED)
    value, sure, _ = with_interval(real.features[NEED], fake.features[NEED])
    assert sure is not None
    assert found.value == pytest.approx(float(from_features(REAL, FAKE)), rel=1e-12)
    assert (found.low, found.high) == (max(0, sure.low), sure.high)
    assert (found.real, found.fake, found.metric) == (50, 40, "fd")
    assert found.protocol == {**ORIGIN.as_dict(), "layer": "pool", "ddof": 1}
    assert (found.details["branch"], found.details["rank"]) == ("cholesky", 6)
    assert found.details["mean_term"] == value.mean_term
    assert found.details["trace_term"] == value.trace_term
    assert found.details["bias"] == sure.bias > 0
    assert (
        found.interval == "jackknife over 10 groups of the real side and 10 groups of the fake side"
    )


def test_only_features_are_redrawn_and_the_measurement_says_which() -> None:
    real, fake = sums_only("real", NEED, REAL), side("fake", NEED, FAKE)
    found = frechet_measurement("fd", real, fake, NEED, groups=5)
    assert found.value == pytest.approx(float(from_features(REAL, FAKE)), rel=1e-12)
    assert found.interval == "jackknife over 5 groups of the fake side"
    assert found.low is not None
    bare = frechet_measurement("fd", real, sums_only("fake", NEED, FAKE), NEED)
    assert (bare.low, bare.high, bare.interval) == (None, None, "")
    assert "bias" not in bare.details


def test_no_groups_mean_no_interval_and_ddof_is_part_of_the_protocol() -> None:
    real, fake = side("real", NEED, REAL), side("fake", NEED, FAKE)
    found = frechet_measurement("fd", real, fake, NEED, ddof=0, groups=0)
    assert found.value == pytest.approx(float(from_features(REAL, FAKE, ddof=0)), rel=1e-12)
    assert (found.low, found.interval) == (None, "")
    with pytest.raises(ValueError, match="ddof: 0 and 1"):
        check_comparable(found, frechet_measurement("fd", real, fake, NEED, groups=0))
    with pytest.raises(ConfigError, match="groups"):
        frechet_measurement("fd", real, fake, NEED, groups=-1)


def test_the_interval_holds_its_value_and_no_negative_distance() -> None:
    alike = side("real", NEED, REAL)
    found = frechet_measurement("fd", alike, alike, NEED)
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    assert abs(found.value) < 1e-12


def test_clips_of_one_video_are_left_out_together() -> None:
    need = replace(NEED, sampling=Sampling(clips="segments"))
    keys = tuple(f"{row // 10}.mp4#{row % 10}" for row in range(40))
    fake = Side(name="fake", features={need: Features(FAKE, ORIGIN, keys)})
    real = Side(name="real", statistics={need: Statistics.of(REAL, ORIGIN)})
    found = frechet_measurement("fd", real, fake, need)
    assert found.interval == "jackknife over 4 groups of the fake side"


def test_what_one_side_does_not_know_is_taken_from_the_other_and_named() -> None:
    origin = replace(ORIGIN, resize=UNKNOWN, decode=UNKNOWN)
    real = Side(name="stats.npz", statistics={NEED: Statistics.of(REAL, origin)})
    found = frechet_measurement("fd", real, side("fake", NEED, FAKE), NEED)
    assert found.protocol["resize"] == "tf1"
    assert found.details["assumed"] == ["resize", "decode"]
    assert known(Origin.from_dict({}), ORIGIN) == known(ORIGIN, Origin.from_dict({})) == ORIGIN
    assert assumed(ORIGIN, ORIGIN) == {}
    assert assumed(origin, replace(origin, decode="white")) == {"assumed": ["resize", "decode"]}


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (5, "5 pictures or clips are no more than the 6 values"),
        (6, "no more than the 6"),
        (40, "published FIDs have 50,000"),
        (50_000, ""),
    ],
)
def test_few_pictures_get_a_note(count: int, words: str) -> None:
    many = replace(Statistics.of(REAL, ORIGIN), count=60_000)
    note = notes(many, replace(many, count=count)).get("note", "")
    assert words in str(note)
    assert bool(note) == bool(words)
    assert notes(replace(many, count=None), many) == {}


def test_sides_that_have_no_groups_are_not_named() -> None:
    assert jackknife_text({"real": 0, "fake": 0}) == ""
    assert jackknife_text({"real": 3, "fake": 0}) == "jackknife over 3 groups of the real side"


def test_distances_of_other_numbers_of_pictures_do_not_compare() -> None:
    real, fake = side("real", NEED, REAL), side("fake", NEED, FAKE)
    found = frechet_measurement("fd", real, fake, NEED, groups=0)
    fewer = frechet_measurement("fd", real, side("fake", NEED, FAKE[:30]), NEED, groups=0)
    assert found.minus(found) == 0
    with pytest.raises(DataError, match=r"fd depends on how many.*\(fake: 40 and 30\)"):
        found.minus(fewer)


def test_a_single_row_has_no_spread_to_compare() -> None:
    one = side("one.mp4", NEED, rows(0, 1))
    for real, fake in ((one, side("fake", NEED, FAKE)), (side("real", NEED, REAL), one)):
        with pytest.raises(DataError, match=r"one\.mp4 has a single picture or video"):
            frechet_measurement("fvd", real, fake, NEED, ddof=0)
