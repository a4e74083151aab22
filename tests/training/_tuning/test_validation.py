import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

import beholder
from beholder.errors import BeholderError
from beholder.rewards.tiny import Tiny
from beholder.training._pipeline.tiny import tiny_pipeline
from beholder.training._tuning.scales import settle_scales
from beholder.training._tuning.signal import Signal
from beholder.training._tuning.start import Start
from beholder.training._tuning.validation import (
    Scored,
    Validation,
    find_start,
    metric_sums,
    moments,
    objective,
)
from beholder.training.fit.learner import FitConfig
from beholder.training.fit.processes import Processes
from beholder.training.pipeline import Driver, Sampling

PROMPTS = ["a fox", "a cat", "a boat", "a star", "a tree"]
ALONE = Processes(cpu=True)


@dataclass
class Settings:
    sampling: Sampling = field(default_factory=lambda: Sampling(steps=3, guidance=0))
    prompts_per_batch: int = 2
    fit: FitConfig = field(default_factory=FitConfig)


@pytest.fixture(scope="module")
def driver() -> Driver:
    return Driver(tiny_pipeline())


def validation(driver: Driver, folder: Path, *, watched: bool = True) -> Validation:
    held_out = Signal(Tiny(1)) if watched else None
    return Validation(driver, Settings(), PROMPTS, (Signal(Tiny(0)), held_out), folder)


def test_the_same_pictures_are_scored_each_time_and_by_any_number_of_processes(
    driver: Driver, tmp_path: Path
) -> None:
    asked = validation(driver, tmp_path)
    whole, again = asked.score(0, 0, 1), asked.score(7, 0, 1)
    assert torch.equal(whole.reward, again.reward)
    shares = [asked.score(0, rank, 2) for rank in (0, 1)]
    rows = torch.cat([share.rows for share in shares])
    assert rows.tolist() == [0, 2, 4, 1, 3]
    joined = torch.cat([share.reward for share in shares])
    torch.testing.assert_close(joined, whole.reward[rows], atol=1e-5, rtol=1e-5)
    assert len(list((tmp_path / "samples" / "step-00000007").iterdir())) == 5


def test_scores_are_those_of_the_rewards_on_the_pictures(driver: Driver, tmp_path: Path) -> None:
    asked = validation(driver, tmp_path)
    pictures, prompts = asked.pictures()
    scored = asked.score(0, 0, 1)
    for reward, found in ((Tiny(0), scored.reward), (Tiny(1), scored.held_out)):
        expected = reward.eval().score(pictures, prompts).total.double()
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_the_start_is_measured_once_and_read_afterwards(driver: Driver, tmp_path: Path) -> None:
    start, scored = find_start(tmp_path, validation(driver, tmp_path), ALONE)
    assert scored is not None
    assert start.mean == pytest.approx(float(scored.reward.mean()))
    assert start.std == pytest.approx(float(scored.reward.std()))
    assert start.held_out_std == pytest.approx(float(scored.held_out.std()))
    assert len(start.levels) == 3
    again, nothing = find_start(tmp_path, validation(driver, tmp_path), ALONE)
    assert nothing is None
    assert again == start


def test_without_a_held_out_reward_its_start_is_unknown_and_json_can_say_so(
    driver: Driver, tmp_path: Path
) -> None:
    asked = validation(driver, tmp_path, watched=False)
    start, scored = find_start(tmp_path, asked, ALONE)
    assert scored is not None
    assert math.isnan(start.held_out_mean)
    told = json.loads((tmp_path / "start.json").read_text())
    assert told["held_out_mean"] is None
    again, _ = find_start(tmp_path, asked, ALONE)
    assert math.isnan(again.held_out_mean)
    assert "eval/held_out" not in metric_sums(scored, again, None)


def test_a_reward_that_tells_no_pictures_apart_is_refused(driver: Driver, tmp_path: Path) -> None:
    reward = Tiny(0)
    with torch.no_grad():
        reward.heads.weight.zero_()
    asked = Validation(driver, Settings(), PROMPTS, (Signal(reward), None), tmp_path)
    with pytest.raises(BeholderError, match="every picture of the pipeline"):
        find_start(tmp_path, asked, ALONE)
    assert not (tmp_path / "start.json").exists()


def test_gains_and_the_gap_are_in_standard_deviations_of_the_start() -> None:
    start = Start(mean=1.0, std=0.5, levels=(1.0,), held_out_mean=10.0, held_out_std=2.0)
    nan = math.nan
    scored = Scored(
        torch.arange(3),
        torch.tensor([2.0, 1.0, nan], dtype=torch.float64),
        torch.tensor([14.0, nan, 12.0], dtype=torch.float64),
    )
    sums = metric_sums(scored, start, None)
    assert sums["eval/reward"] == (3.0, 2.0)
    assert sums["eval/reward_gain"] == (2.0, 2.0)  # (2 - 1) / 0.5 and 0
    assert sums["eval/held_out_gain"] == (3.0, 2.0)  # (14 - 10) / 2 and (12 - 10) / 2
    assert sums["eval/gap"] == (0.0, 1.0)  # of the one picture that both scored: 2 - 2
    assert sums["eval/failed"] == (1.0, 3.0)


def test_moments_leave_out_what_is_not_finite() -> None:
    mean, std = moments(torch.tensor([1.0, 3.0, math.nan], dtype=torch.float64), ALONE)
    assert mean == 2.0
    assert std == pytest.approx(math.sqrt(2))


def test_a_run_stops_on_the_reward_that_it_does_not_learn_from() -> None:
    assert objective({"eval/reward": 3.0, "eval/held_out": 1.0}) == (1.0,)
    assert objective({"eval/reward": 3.0}) == (3.0,)


def test_scales_of_an_ensemble_are_kept_for_a_run_that_goes_on(
    driver: Driver, tmp_path: Path
) -> None:
    members = {name: {"reward": "tiny", "seed": seed} for name, seed in (("a", 2), ("b", 3))}
    first, second = (beholder.load("ensemble", rewards=members) for _ in range(2))
    asked = validation(driver, tmp_path)
    settle_scales(tmp_path, [first], asked, ALONE)
    pictures, prompts = asked.pictures()
    scored = first.score(pictures, prompts)
    for z in scored.aspects.values():
        assert float(z.mean()) == pytest.approx(0, abs=1e-4)
        assert float(z.std()) == pytest.approx(1, abs=1e-4)
    settle_scales(tmp_path, [second], asked, ALONE)
    assert torch.equal(second.score(pictures, prompts).total, scored.total)
    settle_scales(tmp_path / "other", [Tiny(0)], asked, ALONE)
    assert not (tmp_path / "other").exists()
