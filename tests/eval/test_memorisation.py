"""Copies are found, and the penalty is what the paper divides by."""

import numpy as np
import pytest
import torch

from beholder.errors import ConfigError, DataError
from beholder.eval.frechet import from_features
from beholder.eval.memorisation import memorisation_penalty, nearest_pictures


def test_distances_by_hand() -> None:
    """Length does not count, nor does the sign, as in the published definition."""
    fakes = np.array([[2.0, 0.0], [1.0, 1.0], [-3.0, 4.0]])
    reals = np.array([[0.0, 5.0], [-1.0, 0.0]])
    found = nearest_pictures(fakes, reals)
    assert found.distances == pytest.approx([0, 1 - np.sqrt(0.5), 1 - 0.8], abs=1e-12)
    assert found.places[[0, 2]].tolist() == [1, 0]
    assert found.mean == pytest.approx((1.2 - np.sqrt(0.5)) / 3, abs=1e-12)


@pytest.mark.parametrize("block", [9, 32, 1000])
def test_the_nearest_is_that_of_all_pairs(block: int) -> None:
    draws = np.random.default_rng(0)
    fakes = draws.normal(0.5, 1, size=(70, 30)).astype(np.float32)
    reals = draws.normal(0.5, 1, size=(90, 30)).astype(np.float32)
    u, v = (s / np.linalg.norm(s.astype(np.float64), axis=1, keepdims=True) for s in (fakes, reals))
    cosines = np.abs(u @ v.T)
    found = nearest_pictures(torch.from_numpy(fakes), reals, block=block)
    assert np.array_equal(found.places, cosines.argmax(axis=1))
    assert found.distances == pytest.approx(1 - cosines.max(axis=1), abs=1e-14)


def test_near_copies_keep_the_digits_of_their_distance() -> None:
    """1 - cos of an angle of 1e-6 is 5e-13, of which float32 cosines would leave nothing."""
    real = np.random.default_rng(0).normal(size=(20, 50))
    side = np.linalg.qr(np.stack([real[3], real[4]], axis=1))[0][:, 1]
    copy = real[3] + 1e-6 * np.linalg.norm(real[3]) * side
    found = nearest_pictures(np.stack([copy, real[7]]), real)
    assert found.places.tolist() == [3, 7]
    assert found.distances[0] == pytest.approx(5e-13, rel=1e-3)
    assert found.distances[1] == 0


def test_features_of_zeros_have_no_nearest_picture_and_are_nobodys() -> None:
    fakes, reals = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 0.0], [1.0, 0.0]])
    found = nearest_pictures(fakes, reals)
    assert found.places.tolist() == [-1, 1]
    assert np.isnan(found.distances[0])
    assert found.mean == pytest.approx(1 - np.sqrt(0.5))
    with pytest.raises(DataError, match=r"all features of a side are zero"):
        _ = nearest_pictures(fakes, reals[:1]).mean


def test_the_penalty_counts_below_epsilon_only() -> None:
    assert memorisation_penalty(0.03) == 0.03
    assert memorisation_penalty(0.1) == 1
    assert memorisation_penalty(0.4, epsilon=0.5) == 0.4
    with pytest.raises(ConfigError, match=r"epsilon must lie in \(0, 1\], got 0"):
        memorisation_penalty(0.1, epsilon=0)
    with pytest.raises(ConfigError, match=r"block must be"):
        nearest_pictures(np.ones((2, 2)), np.ones((2, 2)), block=0)


def test_torchmetrics_takes_each_real_pictures_nearest_generated_one() -> None:
    mifid = pytest.importorskip("torchmetrics.image.mifid", reason="torchmetrics is not installed")
    draws = np.random.default_rng(0)
    common = draws.normal(2, 1, size=8)
    real, fake = (draws.normal(0, 0.3, size=(n, 8)) + common for n in (40, 30))
    a, b = torch.from_numpy(real), torch.from_numpy(fake)
    theirs = mifid._mifid_compute(a.mean(0), a.T.cov(), a, b.mean(0), b.T.cov(), b)
    penalty = memorisation_penalty(nearest_pictures(real, fake).mean)
    assert penalty < 0.1
    assert from_features(real, fake) / penalty == pytest.approx(float(theirs), rel=1e-6)
