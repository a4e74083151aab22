import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from beholder.errors import ConfigError
from beholder.training.algorithms.draft import Draft, DraftConfig, gradient_steps
from beholder.training.algorithms.refl import Refl
from tests.training.algorithms.test_reward_gradient import (
    BATCH,
    LEVELS,
    config,
    gradients,
    studio,
)
from tests.training.toy import SAMPLING, Redness
from tests.training.toy_tuning import learn, toy_config, toy_pretraining


def draft(**options: Any) -> DraftConfig:
    return DraftConfig(sampling=SAMPLING, **options)


def test_the_steps_end_where_the_gradient_is_worth_it() -> None:
    levels = (1.0, 0.6, 0.3, 0.2, 0.01)
    assert gradient_steps(levels, 1, 0.15) == (3, 3)
    assert gradient_steps(levels, 3, 0.15) == (1, 3)
    assert gradient_steps(levels, 2, 0.0) == (3, 4)


@pytest.mark.parametrize(("k", "least"), [(5, 0.15), (1, 1.5)])
def test_too_few_steps_are_refused(k: int, least: float) -> None:
    with pytest.raises(ConfigError, match=f"no {k} steps end"):
        gradient_steps((1.0, 0.6, 0.3, 0.2, 0.01), k, least)


def test_one_step_is_refl_that_is_never_satisfied() -> None:
    made = studio()
    found = gradients(made, Draft(made, draft()).step(BATCH)[0])
    only = config(low=LEVELS[5] - 0.01, high=LEVELS[5] + 0.01)
    torch.testing.assert_close(found, gradients(made, Refl(made, only).step(BATCH)[0]))


def test_more_steps_have_a_gradient_through_each() -> None:
    made = studio()
    one, three = (gradients(made, Draft(made, draft(k=k)).step(BATCH)[0]) for k in (1, 3))
    sampled = made.driver.sample(BATCH.prompts, SAMPLING, seeds=BATCH.seeds, grad_from=3, stop_at=5)
    gain = (Redness()(sampled.pixels, BATCH.prompts).total.mean() - 0.5) / 0.1
    torch.testing.assert_close(three, gradients(made, -gain))
    assert float((three - one).norm() / one.norm()) > 0.1


def test_without_a_least_level_the_pictures_are_the_pipelines_own() -> None:
    made = studio()
    algorithm = Draft(made, draft(k=2, min_level=0))
    pixels, _ = algorithm.pictures(BATCH, torch.Generator().manual_seed(0))
    expected = made.driver.sample(BATCH.prompts, SAMPLING, seeds=BATCH.seeds).pixels
    assert torch.equal(pixels, expected)


def test_steps_that_learn_next_to_nothing_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Draft(studio(), draft(min_level=0))
    assert "at most 0.001" in caplog.text


def test_noise_is_added_again_at_the_level_of_the_last_step() -> None:
    made = studio()
    pixels, _ = Draft(made, draft(lv=2)).pictures(BATCH, generator := seeded())
    assert pixels.shape == (9, 3, 8, 8)
    x0 = made.driver.sample(BATCH.prompts, SAMPLING, seeds=BATCH.seeds, stop_at=5).latents
    for k in (3, 6):
        generator = seeded() if k == 3 else generator
        noise = torch.randn(x0.shape, generator=generator)
        x_t = (1 - LEVELS[5]) * x0 + LEVELS[5] * noise
        t = torch.full((3,), 1000 * LEVELS[5])
        output = made.driver.predict(x_t, t, BATCH.prompts, SAMPLING)
        expected = made.driver.decode(x_t - LEVELS[5] * output, SAMPLING)
        torch.testing.assert_close(pixels[k : k + 3], expected, rtol=0, atol=1e-5)


def test_gradients_of_noisy_pictures_are_averaged() -> None:
    made = studio()
    algorithm = Draft(made, draft(lv=1))
    pixels, _ = algorithm.pictures(BATCH, seeded())
    scores = Redness()(pixels, BATCH.prompts * 2).total
    loss, _ = algorithm.objective(scores)
    whole, first, again = (
        gradients(made, part) for part in (loss, -scores[:3].mean() / 0.1, -scores[3:].mean() / 0.1)
    )
    torch.testing.assert_close(whole, (first + again) / 2)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(4)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"lv": -1}, {"min_level": -0.1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        DraftConfig(**wrong)


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "weight"), [({"k": 2}, 20.0), ({"lv": 1}, 17.0)], ids=["K", "LV"]
)
def test_draft_learns_red_and_keeps_denoising(
    options: dict[str, Any], weight: float, tmp_path: Path
) -> None:
    given = {"min_level": 0.8, "pretraining": toy_pretraining(weight), **options}
    outcome = learn(toy_config(DraftConfig, 100, 4e-3, **given), tmp_path, Redness())
    assert outcome.red[0] < 0.25
    assert outcome.red[1] > 0.7
    assert outcome.forgot < 0.2
