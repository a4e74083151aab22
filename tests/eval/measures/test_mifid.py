"""MiFID, and the pictures that are copies."""

from dataclasses import replace

import numpy as np
import pytest

from beholder.eval._features import Array
from beholder.eval._origin import UNKNOWN
from beholder.eval.frechet import from_features
from beholder.eval.measures._base import Measurement
from beholder.eval.measures.mifid import Options, compute, needs
from beholder.eval.memorisation import nearest_pictures
from tests.eval.measures.sides import positive, side_of, spread_of


def measured(real: Array, fake: Array, options: Options) -> list[Measurement]:
    (need,) = needs(options)
    return list(compute(side_of("real", need, real), side_of("fake", need, fake), options))


def test_new_pictures_have_their_fid_and_copies_a_larger_one() -> None:
    real, new = positive(60, 10, 0), positive(50, 10, 1, shift=0.1)
    fid, distance = measured(real, new, Options())
    assert distance.value is not None
    assert distance.value > 0.1
    assert fid.value == pytest.approx(float(from_features(real, new)))
    noise = np.random.default_rng(3).normal(size=(50, 10)).astype(np.float32)
    copies = real[:50] + np.float32(0.05) * noise
    copied, near = measured(real, copies, Options())
    assert near.value is not None
    assert near.value < 0.01
    assert copied.value == pytest.approx(float(from_features(real, copies)) / near.value)
    assert copied.details["penalty"] == near.value
    low, value, high = spread_of(copied)
    assert low <= value <= high


def test_the_nearest_pictures_are_named_closest_first() -> None:
    real, fake = positive(30, 10, 0), positive(25, 10, 1)
    fake[4], fake[7] = 3 * real[9], real[2]
    fake[11] = 0
    _, found = measured(real, fake, Options())
    closest = found.details["closest"]
    assert isinstance(closest, list)
    assert {(row["picture"], row["nearest"]) for row in closest[:2]} == {
        ("fake-4", "real-9"),
        ("fake-7", "real-2"),
    }
    assert [row["distance"] for row in closest] == sorted(row["distance"] for row in closest)
    assert len(found.samples) == 24
    assert found.value == pytest.approx(nearest_pictures(fake, real).mean)
    low, value, high = spread_of(found)
    assert low < value < high


def test_over_real_pictures_it_asks_whether_each_of_them_was_copied() -> None:
    real, fake = positive(30, 10, 0), positive(25, 10, 1)
    fid, found = measured(real, fake, Options(over="real"))
    assert found.value == pytest.approx(nearest_pictures(real, fake).mean)
    assert all(key.startswith("real") for key in found.samples)
    assert fid.protocol["over"] == "real"


def test_nothing_but_copies_has_no_figure_but_a_reason() -> None:
    real = positive(30, 10, 0)
    fid, found = measured(real, real[:20], Options())
    assert fid.value is None
    assert fid.low is None
    assert "every picture is a copy" in fid.why
    assert found.value == 0


def test_what_was_assumed_and_how_few_there_are_is_said_of_both_figures() -> None:
    (need,) = needs(Options())
    real = side_of("real", need, positive(30, 10, 0))
    features = real.features[need]
    origin = replace(features.origin, weights=UNKNOWN)
    theirs = replace(real, features={need: replace(features, origin=origin)})
    fid, distance = compute(theirs, side_of("fake", need, positive(9, 10, 1)), Options(groups=0))
    assert fid.details["assumed"] == distance.details["assumed"] == ["weights"]
    assert "9 pictures" in str(fid.details["note"])
    known = compute(real, side_of("fake", need, positive(9, 10, 1)), Options(groups=0))
    assert all("assumed" not in found.details for found in known)
