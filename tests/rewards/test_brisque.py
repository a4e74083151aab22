"""BRISQUE against PyPI's brisque, and where it has nothing to say."""

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import MinMaxScaler

import beholder
from beholder.errors import ConfigError
from beholder.rewards.brisque import Brisque
from tests.rewards.contract import check_reward
from tests.rewards.scene_pictures import picture, published
from tests.rewards.tinies.brisque import tiny


def test_contract() -> None:
    check_reward(tiny())


@pytest.mark.parametrize("name", published("brisque"))
def test_scores_are_minus_those_of_the_published_package(name: str) -> None:
    total = tiny().score(picture(name)).total.item()
    assert total == pytest.approx(-published("brisque")[name], abs=0.1)


def test_the_package_as_it_is_differs_as_the_card_says() -> None:
    own, package = (np.array([*published(n).values()]) for n in ("brisque", "brisque_unmodified"))
    gaps = np.abs(own - package)
    assert (round(gaps.mean(), 1), round(gaps.max())) == (4.6, 13)
    assert "4.6 on average, 13 at most" in " ".join(tiny().card.notes)


def test_worse_pictures_score_lower() -> None:
    clean, blurred, noisy = (
        tiny().score(picture(f"coffee.{kind}")).total.item()
        for kind in ("clean", "blurred", "noisy")
    )
    assert clean > -5 > -40 > max(blurred, noisy)


def test_the_regression_is_a_kernel_expansion() -> None:
    """By scikit-learn's kernel, with the constants of the published file."""
    reward = tiny()
    assert isinstance(reward, Brisque)
    features = reward.low + torch.rand(5, 36, dtype=torch.float64) * (reward.high - reward.low)
    scaled = MinMaxScaler((-1, 1)).fit(torch.stack([reward.low, reward.high])).transform(features)
    kernel = rbf_kernel(scaled, reward.support.double().numpy(), gamma=0.05)
    expected = kernel @ reward.coefficients.double().numpy() + 155.845
    np.testing.assert_allclose(reward.from_features(features).numpy(), expected, rtol=1e-9)


def test_flat_pictures_are_named_and_leave_the_others_alone() -> None:
    noise = torch.randint(0, 256, (3, 40, 40), dtype=torch.uint8)
    flat = torch.full((3, 40, 40), 128, dtype=torch.uint8)
    found = tiny().score([flat, noise])
    assert found.errors.keys() == {0}
    assert found.errors[0].startswith("flat: ")
    assert found.total.isnan().tolist() == [True, False]
    assert found.total[1] == tiny().score(noise).total


def test_a_flat_picture_does_not_spoil_the_gradient() -> None:
    pixels = torch.rand(2, 3, 24, 24)
    pixels[0] = 0.5
    leaf = pixels.requires_grad_()
    tiny()(leaf, ["", ""]).total[1].backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
    assert leaf.grad[1].abs().sum() > 0


def test_ascending_the_gradient_raises_the_score() -> None:
    reward = tiny()
    pixels = torch.from_numpy(picture("coffee.noisy")[:96, :96].copy()).permute(2, 0, 1)[None] / 255
    before = reward.score(pixels).total.item()
    for _ in range(5):
        pixels = pixels.detach().requires_grad_()
        (slope,) = torch.autograd.grad(reward(pixels, [""]).total.sum(), pixels)
        pixels = (pixels + 0.01 * slope.sign()).clamp(0, 1).detach()
    assert reward.score(pixels).total.item() > before + 5


def test_unknown_options_are_refused() -> None:
    with pytest.raises((ConfigError, TypeError), match="version"):
        beholder.load("brisque", version=2)


def test_a_picture_too_small_for_the_window_has_a_reason_and_stops_nobody() -> None:
    large = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(0))
    sizes = [(1, 1), (1, 40), (13, 60), (14, 14)]
    pictures = [large, *(torch.rand(3, *size) for size in sizes)]
    scores = tiny().score(pictures)
    assert sorted(scores.errors) == [1, 2, 3]
    assert all(why.startswith("too-small: BRISQUE needs 14") for why in scores.errors.values())
    assert scores.total[[0, 4]].isfinite().all()
