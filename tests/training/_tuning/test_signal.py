import math

import pytest
import torch
from torch import Tensor

from beholder.errors import BeholderError, ConfigError
from beholder.rewards import load
from beholder.rewards.ensemble import Ensemble
from beholder.training._tuning.signal import Signal, told
from beholder.training._tuning.views import Views
from tests.rewards.simple import Mean, Red, Wide, flat

RED = 0.75


def red_picture() -> Tensor:
    """Red 0.75, green and blue 0: their mean is 0.25."""
    pixels = torch.zeros(1, 3, 4, 6)
    pixels[:, 0] = RED
    return pixels


def test_the_total_or_an_aspect_is_learned_from() -> None:
    reward = Ensemble({"mean": Mean(), "red": Red()}, scales="none")
    for aspect, score in (("total", 1.0), ("mean", 0.25), ("red", RED)):
        signal = Signal(reward, aspect)
        assert signal(red_picture(), ["a"]).tolist() == [score]
        assert signal.labels(red_picture(), ["a"]).tolist() == [score]


def test_an_unknown_aspect_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="reward red has no aspect 'blue'; known: total, red"):
        Signal(Red(), "blue")


def test_the_reward_is_frozen_and_does_not_drop_out() -> None:
    reward = load("tiny").train()
    signal = Signal(reward)
    assert not signal.reward.training
    assert not any(p.requires_grad for p in signal.reward.parameters())


def test_the_gradient_reaches_pixels_of_any_precision() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        pixels = flat(0.5).to(dtype).requires_grad_()
        scores = Signal(Mean())(pixels, ["a"])
        assert scores.dtype == torch.float32
        scores.sum().backward()
        torch.testing.assert_close(pixels.grad, torch.full((1, 3, 4, 6), 1 / 72, dtype=dtype))


def test_labels_have_no_gradient_and_need_none() -> None:
    pixels = flat(0.5, size=(4, 6)).clone().requires_grad_()
    labels = Signal(Wide()).labels(pixels, ["a"])
    assert labels.tolist() == [1.0]
    assert not labels.requires_grad


def test_a_reward_without_gradient_names_the_algorithms_that_need_none() -> None:
    with pytest.raises(ConfigError, match=r"wide gives pictures no gradient.*dpo.*nft"):
        Signal(Wide())(flat(0.5), ["a"])


def test_a_score_that_is_not_finite_is_nan_and_stops_no_other() -> None:
    pixels = flat(0.5, 0.25, 0.5).clone().requires_grad_()
    scores = Signal(Red())(pixels, ["nan", "a", "a"])
    assert scores.isnan().tolist() == [True, False, False]
    scores[1:].sum().backward()
    assert pixels.grad is not None
    assert (pixels.grad[1:, 0] == 1 / 24).all()
    labels = Signal(Red()).labels(pixels, ["nan", "a", "a"])
    assert labels[1:].tolist() == [0.25, 0.5]
    assert labels[0].isnan()
    assert told(torch.tensor([math.inf, 1.0])).isnan().tolist() == [True, False]


@pytest.mark.parametrize("seed", [None, 0])
def test_a_picture_that_is_not_finite_scores_nan_and_stops_no_other(seed: int | None) -> None:
    pixels = flat(0.5, 0.25).clone()
    pixels[0, 0, 0, 0] = math.nan
    pixels.requires_grad_()
    views = Signal(Red(), views=Views(jpeg=1.0))
    for score in (views.__call__, views.labels):
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        scores = score(pixels, ["a", "a"], generator)
        assert scores[0].isnan()
        torch.testing.assert_close(scores[1].detach(), torch.tensor(0.25), atol=0.01, rtol=0)
    views(pixels, ["a", "a"])[1].backward()
    assert pixels.grad is not None
    assert pixels.grad.isfinite().all()


def test_no_score_at_all_is_an_error_with_the_reason() -> None:
    signal = Signal(Red())
    with pytest.raises(BeholderError, match=r"no score for any of 2 pictures; the run can go on"):
        signal(flat(0.5, 0.5), ["nan", "nan"])
    with pytest.raises(BeholderError, match=r"any of 2 pictures \(non-finite: the reward gave nan"):
        signal.labels(flat(0.5, 0.5), ["nan", "nan"])
    with pytest.raises(BeholderError, match=r"any of 1 pictures \(the pictures are not finite\)"):
        signal(flat(math.nan), ["a"])
    member = Signal(Ensemble({"red": Red()}, scales="none"))
    with pytest.raises(BeholderError, match="member red: it gave nan"):
        member(flat(0.5), ["nan"])


def test_views_are_for_calls_with_a_generator() -> None:
    signal = Signal(load("tiny"), views=Views(flip=1.0, crop=0.5))
    pixels = torch.rand(3, 3, 32, 32)
    prompts = ["a"] * 3
    plain = signal(pixels, prompts)
    torch.testing.assert_close(signal.labels(pixels, prompts), plain)
    seen = signal(pixels, prompts, torch.Generator().manual_seed(0))
    assert ((seen - plain).abs() > 1e-4).all()
    labels = signal.labels(pixels, prompts, torch.Generator().manual_seed(0))
    torch.testing.assert_close(labels, seen)


def test_views_know_the_prompts() -> None:
    signal = Signal(load("tiny"), views=Views(flip=1.0))
    pixels, prompts = torch.rand(2, 3, 32, 32), ["a cat", "a cat on the left"]
    plain, seen = (signal(pixels, prompts, g) for g in (None, torch.Generator().manual_seed(0)))
    assert (plain == seen).tolist() == [False, True]
