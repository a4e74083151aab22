from pathlib import Path
from typing import Any

import pytest
import torch

from beholder.errors import ConfigError
from beholder.training.algorithms.refl import Refl, ReflConfig
from tests.training.algorithms.test_reward_gradient import (
    BATCH,
    LEVELS,
    config,
    gradients,
    studio,
)
from tests.training.toy import SAMPLING, Redness
from tests.training.toy_tuning import learn, toy_config, toy_pretraining


def test_steps_are_drawn_from_the_window_of_noise_levels() -> None:
    algorithm = Refl(studio(), config())
    levels = set()
    for seed in range(12):
        torch.manual_seed(seed)
        levels.add(algorithm.step(BATCH)[1]["refl/level"])
    assert levels == {LEVELS[3], LEVELS[4], LEVELS[5]}  # 0.57, 0.43, 0.29 of 0.65 to 0.15


def test_the_gradient_is_that_of_one_step_and_its_decoding() -> None:
    made = studio()
    only = config(low=LEVELS[4] - 0.01, high=LEVELS[4] + 0.01)
    found = gradients(made, Refl(made, only).step(BATCH)[0])
    sampled = made.driver.sample(BATCH.prompts, SAMPLING, seeds=BATCH.seeds, grad_from=4, stop_at=4)
    scores = Redness()(sampled.pixels, BATCH.prompts).total
    expected = gradients(made, -scores.mean() / made.start.std)
    torch.testing.assert_close(found, expected)


def test_a_reward_that_reached_its_margin_pulls_no_more() -> None:
    made = studio()
    loss, logs = Refl(made, ReflConfig(sampling=SAMPLING, margin=-100.0)).step(BATCH)
    assert loss.item() == 0
    assert logs["refl/saturated"] == 1
    assert float(gradients(made, loss).abs().max()) == 0


def test_a_window_without_steps_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\[0.6, 0.65\]"):
        Refl(studio(), config(low=0.6))


@pytest.mark.parametrize("wrong", [{"low": 0.7}, {"low": -0.1}, {"reward_weight": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"high|low|reward_weight"):
        ReflConfig(**wrong)


@pytest.mark.long
def test_refl_learns_red_and_keeps_denoising(tmp_path: Path) -> None:
    # The levels at which the toy decides what a picture becomes.
    options = {"low": 0.6, "high": 0.9, "pretraining": toy_pretraining(8.0)}
    outcome = learn(toy_config(ReflConfig, 100, 4e-3, **options), tmp_path, Redness())
    assert outcome.red[0] < 0.25
    assert outcome.red[1] > 0.7
    assert outcome.forgot < 0.2
