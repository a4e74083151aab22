"""NIQE against basicsr, a plain computation, and where it has nothing to say."""

import numpy as np
import pytest
import torch

import beholder
from beholder.errors import ConfigError
from beholder.rewards.niqe import Niqe
from tests.rewards.contract import check_reward
from tests.rewards.scene_pictures import picture, published
from tests.rewards.tinies.niqe import tiny


def test_contract() -> None:
    check_reward(tiny())


@pytest.mark.parametrize("name", published("niqe"))
def test_scores_are_minus_those_of_the_published_program(name: str) -> None:
    total = beholder.load("niqe").score(picture(name)).total.item()
    assert total == pytest.approx(-published("niqe")[name], abs=0.05)


def test_the_distance_is_that_of_two_gaussians() -> None:
    """By numpy, over patches of which one does not count."""
    reward = tiny()
    assert isinstance(reward, Niqe)
    features = torch.randn(1, 7, 36, dtype=torch.float64)
    counts = torch.tensor([[True] * 6 + [False]])
    rows = features[0, :6].numpy()
    gap = rows.mean(0) - reward.mean.numpy()
    pooled = (np.cov(rows.T) + reward.covariance.numpy()) / 2
    expected = np.sqrt(gap @ np.linalg.pinv(pooled) @ gap)
    assert reward._distances(features, counts).item() == pytest.approx(expected, rel=1e-6)


def test_pictures_of_fewer_than_two_patches_are_named() -> None:
    noise = torch.randint(0, 256, (3, 200, 200), dtype=torch.uint8)
    found = beholder.load("niqe").score(
        [noise, noise[:, :150, :191], noise[:, :90], noise[:, :100]]
    )
    assert found.errors.keys() == {1, 2}
    assert all(why.startswith("too-small: ") for why in found.errors.values())
    assert found.total.isnan().tolist() == [False, True, True, False]


def test_flat_patches_do_not_count() -> None:
    noise = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    flat = torch.full((3, 32, 96), 255, dtype=torch.uint8)
    reward = tiny()
    found = reward.score([noise, torch.cat([noise, flat.new_full((3, 64, 96), 255)], 1)]).total
    assert (found[0] - found[1]).abs() < 1  # windows at the border meet the flat part
    assert reward.score(torch.cat([flat] * 3, 1)).errors.keys() == {0}


def test_what_is_left_over_beside_the_patches_does_not_count() -> None:
    noise = torch.randint(0, 256, (3, 96, 96), dtype=torch.uint8)
    wider = torch.cat([noise, torch.zeros(3, 96, 31, dtype=torch.uint8)], 2)
    assert torch.equal(tiny().score(wider).total, tiny().score(noise).total)


@pytest.mark.parametrize("patch", [15, 33, 0, "96", True])
def test_wrong_patches_are_refused(patch: object) -> None:
    with pytest.raises(ConfigError, match="even number of pixels"):
        Niqe.from_options({"patch": patch})


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="side"):
        Niqe.from_options({"side": 96})
