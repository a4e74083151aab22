import math

import pytest
import torch
from diffusers import LCMScheduler

from beholder.errors import ConfigError, DataError
from beholder.training._guidance.candidates import Candidates, Chosen
from beholder.training._guidance.choosing import best_numbers, best_of, early_rejection
from beholder.training.pipeline import Driver, Sampling
from tests.training._guidance.drivers import PROMPTS, driver, plain, redness, small
from tests.training.tiny_pipelines import tiny

FOUR = Candidates(each=4, batch_size=3)


def same(first: Chosen, second: Chosen) -> bool:
    return first.seeds == second.seeds and torch.allclose(first.pixels, second.pixels, atol=1e-5)


def test_the_best_of_one_is_what_the_driver_gives() -> None:
    one = best_of(driver("sd3"), redness(), PROMPTS, small("sd3"), Candidates(each=1))
    assert torch.equal(one.pixels, plain("sd3", [0, 1]))
    assert (one.seeds, one.candidate_seeds) == ((0, 1), ((0,), (1,)))
    assert one.steps_run == one.steps_full == 2 * 4
    assert one.preview_scores is None


def test_the_best_of_several_is_the_highest_of_their_scores_and_comes_again_from_its_seed() -> None:
    counted: list[int] = []
    best = best_of(driver("sd3"), redness(), PROMPTS, small("sd3"), FOUR, progress=counted.append)
    assert torch.equal(best.scores, best.candidate_scores.max(1).values)
    again = plain("sd3", list(best.seeds))
    assert torch.allclose(best.pixels, again, atol=1e-5)
    assert torch.allclose(best.scores, redness()(again, PROMPTS), atol=1e-5)
    assert best.steps_run == sum(counted) == 2 * 4 * 4
    assert best.saved == 0
    assert best.pixels.device.type == "cpu"


def test_neighbours_and_batches_change_no_picture() -> None:
    together = best_of(driver("sd3"), redness(), PROMPTS, small("sd3"), FOUR)
    alone = best_of(
        driver("sd3"), redness(), PROMPTS[:1], small("sd3"), Candidates(each=4, batch_size=1)
    )
    assert alone.seeds == together.seeds[:1]
    assert torch.allclose(alone.pixels, together.pixels[:1], atol=1e-5)
    assert torch.allclose(alone.candidate_scores, together.candidate_scores[:1], atol=1e-5)


@pytest.mark.parametrize("name", ["sd", "sd3", "flux"])
@pytest.mark.parametrize("keep", [1, 3])
def test_rejecting_at_the_last_step_is_the_best_of_all_at_the_same_cost(
    name: str, keep: int
) -> None:
    arguments = driver(name), redness(), PROMPTS, small(name), FOUR
    best = best_of(*arguments)
    early = early_rejection(*arguments, at=3, keep=keep)
    assert same(early, best)
    assert early.steps_run == early.steps_full == best.steps_run
    assert early.preview_scores is not None
    assert torch.allclose(early.preview_scores, best.candidate_scores, atol=1e-2)


@pytest.mark.parametrize("name", ["sd", "sd3", "flux"])
def test_kept_candidates_are_the_best_previews_and_end_as_their_seeds_would(name: str) -> None:
    counted: list[int] = []
    early = early_rejection(
        driver(name), redness(), PROMPTS, small(name), FOUR, at=1, keep=2, progress=counted.append
    )
    assert early.preview_scores is not None
    finished = ~early.candidate_scores.isnan()
    assert finished.sum(1).tolist() == [2, 2]
    for kept, previews in zip(finished, early.preview_scores, strict=True):
        assert previews[kept].min() > previews[~kept].max()
    assert torch.allclose(early.pixels, plain(name, list(early.seeds)), atol=1e-5)
    assert early.steps_run == sum(counted) == 2 * (4 * 2 + 2 * 2)
    assert early.saved == 1 - 24 / 32


def test_where_noise_is_drawn_kept_candidates_are_run_again_and_every_step_counts() -> None:
    pipe = tiny("sd")
    pipe.scheduler = LCMScheduler(beta_start=0.00085, beta_end=0.012)
    noisy = Driver(pipe, keep_scheduler=True)
    sampling = Sampling(steps=4, height=16, width=16)
    early = early_rejection(noisy, redness(), PROMPTS, sampling, FOUR, at=1, keep=2)
    with torch.no_grad():
        again = noisy.sample(PROMPTS, sampling, seeds=early.seeds).pixels
    assert torch.allclose(early.pixels, again, atol=1e-5)
    assert early.steps_run == 2 * (4 * 2 + 2 * 4)
    assert early.saved == 0


@pytest.mark.parametrize("at", [1, 3])
def test_a_schedule_of_another_length_is_run_to_its_end(at: int) -> None:
    given = small("sd3", call={"sigmas": [1.0, 0.8, 0.6, 0.4, 0.2]})
    arguments = driver("sd3"), redness(), PROMPTS, given, FOUR
    best, early = best_of(*arguments), early_rejection(*arguments, at=at, keep=4)
    assert same(early, best)
    assert early.steps_run == early.steps_full == best.steps_full == 2 * 4 * 5


def test_everything_kept_is_the_best_of_all() -> None:
    arguments = driver("sd3"), redness(), PROMPTS, small("sd3"), FOUR
    early = early_rejection(*arguments, at=0, keep=4)
    best = best_of(*arguments)
    assert same(early, best)
    assert early.steps_run == best.steps_run


def test_the_best_places_are_stable_and_unknown_ones_come_last() -> None:
    nan = math.nan
    assert best_numbers(torch.tensor([1.0, nan, 3.0, 3.0]), 3) == [2, 3, 0]
    assert best_numbers(torch.tensor([nan, nan, -5.0]), 2) == [2, 0]


@pytest.mark.parametrize(("at", "keep", "said"), [(4, 1, "at"), (0, 0, "keep"), (0, 5, "keep")])
def test_steps_and_numbers_that_do_not_exist_are_refused(at: int, keep: int, said: str) -> None:
    with pytest.raises(ConfigError, match=f"{said} must be"):
        early_rejection(driver("sd"), redness(), PROMPTS, small("sd"), FOUR, at=at, keep=keep)


def test_no_prompt_is_refused() -> None:
    with pytest.raises(DataError, match="no prompts"):
        best_of(driver("sd"), redness(), [], small("sd"), FOUR)
