from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from beholder.errors import ConfigError
from beholder.images import ImageSource
from beholder.rewards import RewardCard, load
from beholder.rewards.smoothed import Smoothed, direction
from beholder.types import Scores
from tests.rewards import tiny_towers
from tests.rewards.contract import check_reward
from tests.rewards.simple import Constant, Mean, Red, Simple, Wide, flat

MPS: dict[str, Any] = {"reward": "mps", "config": tiny_towers.CONFIG}


class Bump(Simple):
    """Total -(m - 0.5)^2 for the mean m of a picture: highest, and flat, at 0.5."""

    card = RewardCard(name="bump", paper="none")

    def score_prepared(self, pixel_values: Tensor, prompts: Sequence[str]) -> Scores:
        return Scores(-(pixel_values.mean((1, 2, 3)) - 0.5).square())


@pytest.mark.parametrize(
    ("reward", "norm"), [("tiny", "l2"), ("tiny", "linf"), (MPS, "l2")], ids=["l2", "linf", "mps"]
)
def test_contract(reward: Any, norm: str) -> None:
    check_reward(load("smoothed", reward=reward, norm=norm), slopes=False)


def test_the_contract_holds_of_a_smoothed_ensemble() -> None:
    rewards = {"a": "tiny", "b": {"reward": "tiny", "seed": 1}}
    inner = {"reward": "ensemble", "rewards": rewards, "scales": "none", "how": "min"}
    check_reward(load("smoothed", reward=inner, rho=0.05), slopes=False)


def test_a_linear_reward_is_scored_rho_below_itself() -> None:
    # the slope of a mean is the same everywhere: root mean square rho is rho in every value
    for norm in ("l2", "linf"):
        scores = Smoothed(Mean(), rho=0.1, norm=norm).score(flat(0.5, 0.25), "a")
        torch.testing.assert_close(scores.total, torch.tensor([0.4, 0.15]))
        torch.testing.assert_close(scores.aspects["sharpness"], torch.tensor([0.1, 0.1]))


def test_rho_is_a_root_mean_square_over_all_values_of_a_picture() -> None:
    # only red counts, so that it takes the change of three channels: rho * sqrt(3)
    scores = Smoothed(Red(), rho=0.1).score(flat(0.5), "a")
    torch.testing.assert_close(scores.total, torch.tensor([0.5 - 0.1 * 3**0.5]))
    torch.testing.assert_close(scores.aspects["red"], scores.total)
    linf = Smoothed(Red(), rho=0.1, norm="linf").score(flat(0.5), "a")
    torch.testing.assert_close(linf.total, torch.tensor([0.4]))


def test_a_step_does_not_depend_on_the_size_or_the_number_of_pictures() -> None:
    pictures: list[ImageSource] = [*flat(0.5, 0.3), *flat(0.5, size=(9, 5)), *flat(0.5)]
    total = Smoothed(Mean(), rho=0.1).score(pictures, "a").total
    torch.testing.assert_close(total, torch.tensor([0.4, 0.2, 0.4, 0.4]))


def test_the_changed_picture_stays_a_picture() -> None:
    total = Smoothed(Mean(), rho=0.1).score(flat(0.0, 0.06, 1.0), "a").total
    torch.testing.assert_close(total, torch.tensor([0.0, 0.0, 0.9]))


def test_the_gradient_is_the_reward_s_at_the_changed_picture() -> None:
    # at 0.3 the slope 0.4 is upward, so the worst picture is 0.2, with the slope 0.6
    pixels = flat(0.3).clone().requires_grad_()
    scores = Smoothed(Bump(), rho=0.1)(pixels, ["a"])
    torch.testing.assert_close(scores.total, torch.tensor([-0.09]))
    scores.total.sum().backward()
    torch.testing.assert_close(pixels.grad, torch.full((1, 3, 4, 6), 0.6 / 72))


def test_the_clamp_does_not_stop_the_gradient() -> None:
    pixels = flat(0.0).clone().requires_grad_()
    Smoothed(Mean(), rho=0.1)(pixels, ["a"]).total.sum().backward()
    torch.testing.assert_close(pixels.grad, torch.full((1, 3, 4, 6), 1 / 72))


def test_a_slope_of_zero_leaves_the_picture_as_it_is() -> None:
    for reward, total in ((Constant(), 0.0), (Bump(), 0.0)):
        scores = Smoothed(reward, rho=0.1).score(flat(0.5), "a")
        assert scores.total.tolist() == [total]
        assert scores.aspects["sharpness"].tolist() == [0.0]


def test_a_picture_without_a_score_does_not_touch_its_neighbours() -> None:
    scores = Smoothed(Red(), rho=0.1).score(flat(0.5, 0.5), ["nan", "a"])
    assert list(scores.errors) == [0]
    torch.testing.assert_close(scores.total[1], torch.tensor(0.5 - 0.1 * 3**0.5))


def test_directions_have_a_root_mean_square_of_one_even_where_squares_vanish() -> None:
    slope = torch.randn(3, 3, 4, 5) * torch.tensor([1.0, 1e-30, 0.0])[:, None, None, None]
    assert (slope[1].square() == 0).all()
    length = direction(slope, "l2").square().mean((1, 2, 3)).sqrt()
    torch.testing.assert_close(length, torch.tensor([1.0, 1.0, 0.0]))
    assert direction(slope, "linf")[1].abs().min() == 1
    slope[0, 0, 0, 0] = torch.nan
    assert (direction(slope, "l2")[0] == 0).all()


def test_a_step_lowers_the_score_more_than_a_step_at_random() -> None:
    inner = load("tiny")
    pictures = 0.2 + 0.6 * torch.rand(8, 3, 32, 32)
    scores = Smoothed(inner, rho=0.01).score(pictures, "a cat")
    noise = inner.score(pictures + 0.01 * torch.randn_like(pictures), "a cat").total
    at_random = (inner.score(pictures, "a cat").total - noise).abs()
    assert (scores.aspects["sharpness"] > 2 * at_random).all()


def test_inference_mode_scores_as_no_grad_does() -> None:
    smoothed = load("smoothed", reward="tiny")
    pictures = torch.rand(2, 3, 40, 40)
    with torch.inference_mode():
        inside = smoothed.score(pictures.clone(), "a cat").total
    assert torch.equal(inside, smoothed.score(pictures, "a cat").total)


def test_the_card_is_the_reward_s() -> None:
    card = Smoothed(Red()).card
    assert (card.name, card.aspects, card.weights_license) == (
        "smoothed",
        ("red", "sharpness"),
        "MIT",
    )
    assert load("smoothed", reward="tiny").card.score_range == (-1.0, 1.0)
    assert not Smoothed(Mean()).card.needs_prompt


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "smoothed needs a reward"),
        ({"reward": "tinny"}, "did you mean 'tiny'"),
        ({"reward": Wide()}, "wide is not differentiable"),
        ({"reward": Smoothed(Mean())}, "smooth a reward once"),
        ({"reward": "tiny", "rho": 0.0}, "rho must be above 0 and at most 1, got 0.0"),
        ({"reward": "tiny", "rho": True}, "rho must be above 0 and at most 1, got True"),
        ({"reward": "tiny", "norm": "l1"}, "norm must be one of l2, linf; got 'l1'"),
        ({"reward": "tiny", "ro": 0.1}, "has no option"),
    ],
)
def test_wrong_options_are_refused_in_words(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load("smoothed", **options)


def test_a_saved_reward_takes_another_rho(tmp_path: Path) -> None:
    load("smoothed", reward="tiny", rho=0.02).save_pretrained(tmp_path)
    again = load(str(tmp_path), rho=0.05)
    assert again.options()["rho"] == 0.05
    pictures = torch.rand(2, 3, 32, 32)
    expected = load("smoothed", reward="tiny", rho=0.05).score(pictures, "a").total
    assert torch.equal(again.score(pictures, "a").total, expected)
