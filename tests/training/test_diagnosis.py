import itertools
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import binomtest, norm
from torch import Tensor, nn

from beholder.training.diagnosis import Diagnosis, wilson
from beholder.training.learner import FitConfig
from beholder.training.loop import Task, fit
from beholder.training.losses import preference_kl
from beholder.training.processes import Processes
from beholder.training.reward import RewardTraining, train_reward
from beholder.types import Preference
from tests.training import brightness

CHANCE = math.log(2)
HEALTHY: Mapping[str, float] = {
    "train/loss": 0.5,
    "train/accuracy": 0.75,
    "train/margin_std": 0.8,
    "train/gradient_norm": 0.3,
    "train/learning_rate": 1e-4,
}


class Run:
    """Fifty steps and an evaluation at a time."""

    def __init__(self, moved: float = 0.1) -> None:
        self.weight = torch.ones(4, 4)
        self.diagnosis = Diagnosis(CHANCE)
        self.diagnosis.watch({"weight": self.weight})
        self.weight += moved
        self.step = 0

    def goes_on(self, held_out: float = 0.7, pairs: int = 400, **logs: float) -> list[str]:
        told = {**HEALTHY, **{f"train/{name}": value for name, value in logs.items()}}
        for _ in range(50):
            self.step += 1
            self.diagnosis.step(self.step, told)
        # as little better than chance as the pairs are
        metrics = {"eval/accuracy": held_out, "eval/loss": CHANCE + 0.5 - held_out}
        self.diagnosis.evaluated(self.step, metrics, {"eval/accuracy": pairs})
        return self.diagnosis.findings


@pytest.mark.parametrize(("right", "count"), [(7, 10), (0, 12), (150, 400)])
def test_the_interval_of_a_share_is_scipys(right: int, count: int) -> None:
    level = 2 * norm.cdf(3) - 1
    theirs = binomtest(right, count).proportion_ci(level, method="wilson")
    assert wilson(right / count, count, 3) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_a_run_that_learns_is_left_in_peace() -> None:
    run = Run()
    for loss in (0.693, 0.68, 0.66, 0.64, 0.62):
        assert run.goes_on(loss=loss, held_out=0.6) == []


def test_a_gradient_of_zero_is_told_at_the_first_evaluation() -> None:
    (told,) = Run(moved=0).goes_on(loss=CHANCE, gradient_norm=0.0, margin_std=0.0)
    assert "stays at chance (0.6931, where equal scores give 0.6931" in told
    assert "spread of the margins 0, gradient norm 0" in told
    assert "frozen or detached" in told


def test_a_rate_that_moves_nothing_is_told_with_the_way_that_weights_went() -> None:
    run = Run(moved=2e-6)
    assert run.goes_on(loss=0.71, learning_rate=1e-9) == []
    (told,) = run.goes_on(loss=0.71, learning_rate=1e-9)
    assert "learning rate is too low; at 1e-09 the weights that train have moved by 2e-06" in told


def test_nothing_is_expected_while_the_rate_rises() -> None:
    run = Run(moved=2e-6)
    for k in range(4):
        for step in range(25):
            run.diagnosis.step(step, {**HEALTHY, "train/loss": CHANCE})
        assert run.goes_on(loss=CHANCE, learning_rate=1e-4 * (k + 2)) == []


def test_labels_that_look_random_are_told_after_three_evaluations_and_taken_back() -> None:
    run = Run()
    told = [run.goes_on(loss=0.69, accuracy=0.5, held_out=0.5) for _ in range(3)]
    assert told[:2] == [[], []]
    assert "weights do move (by 0.1 of their size), so the labels look random" in told[2][0]
    assert run.goes_on(loss=0.5) == []


def test_weights_that_went_far_for_nothing_say_that_the_rate_is_too_high() -> None:
    run = Run(moved=50)
    told = [run.goes_on(loss=0.69, learning_rate=2.0) for _ in range(3)]
    assert "learning rate, 2, is too high; the weights that train have moved by 50" in told[2][0]


def test_an_order_that_is_learned_with_margins_too_small_is_told() -> None:
    run = Run()
    found = [run.goes_on(loss=0.692, margin_std=0.01) for _ in range(3)]
    assert "margins are too small" in found[2][0]
    assert "loss.scale=logit_scale" in found[2][0]


def test_ties_are_told_with_their_share() -> None:
    (told,) = Run().goes_on(tie_share=0.97)
    assert told.startswith("97% of the training pairs are ties")


def test_a_loss_that_rises_or_comes_back_to_chance_is_told() -> None:
    run = Run()
    assert run.goes_on(loss=0.7, learning_rate=0.1) == []
    (told,) = run.goes_on(loss=1.9)
    assert "rose from 0.7 to 1.9" in told
    assert "the learning rate, 0.1, is too high" in told
    run = Run()
    assert run.goes_on(loss=0.4) == []
    assert "rose from 0.4 to 0.69" in run.goes_on(loss=0.69)[0]


def test_a_trained_reward_that_starts_with_a_high_loss_which_falls_is_left_in_peace() -> None:
    run = Run()
    assert [run.goes_on(loss=loss) for loss in (3.0, 2.0, 1.2, 0.6)] == [[]] * 4


def test_held_out_labels_turned_round_are_told_at_the_second_evaluation() -> None:
    run = Run()
    assert run.goes_on(held_out=0.2) == []
    (told,) = run.goes_on(held_out=0.2)
    assert "0.20 of 400 held-out pairs (0.15 to 0.27)" in told
    assert "turned round" in told


def test_too_few_held_out_pairs_say_nothing() -> None:
    run = Run()
    assert [run.goes_on(held_out=0.3, pairs=6) for _ in range(3)] == [[]] * 3


def test_a_trained_reward_that_is_surely_wrong_is_told_before_any_training() -> None:
    metrics, counts = {"eval/accuracy": 0.3, "eval/loss": 1.8}, {"eval/accuracy": 200.0}
    for trained in (False, True):
        diagnosis = Diagnosis(CHANCE, trained=trained)
        diagnosis.evaluated(0, metrics, counts)
        assert any("looks turned round" in told for told in diagnosis.findings) is trained


def test_pairs_learned_by_heart_are_told_at_the_second_evaluation() -> None:
    run = Run()
    found = [run.goes_on(loss=0.1, accuracy=0.97, held_out=0.52) for _ in range(2)]
    assert found[0] == []
    assert "training accuracy is 0.97 but the reward orders 0.52 of 400" in found[1][0]
    assert "by heart" in found[1][0]


def test_a_little_that_is_learned_and_carries_over_to_nothing_is_told() -> None:
    run = Run()
    found = [run.goes_on(loss=0.6, accuracy=0.65, held_out=0.5, pairs=60) for _ in range(3)]
    assert found[:2] == [[], []]
    assert "no better than chance" in found[2][0]


def test_findings_survive_a_stop(caplog: pytest.LogCaptureFixture) -> None:
    run = Run()
    run.goes_on(tie_share=1.0)
    again = Diagnosis(CHANCE)
    caplog.clear()
    again.restore(run.diagnosis.state())
    assert again.findings == run.diagnosis.findings != []
    assert not caplog.records


def test_without_a_chance_loss_only_held_out_pairs_are_judged() -> None:
    diagnosis = Diagnosis(None)
    for step in range(50):
        diagnosis.step(step, {**HEALTHY, "train/gradient_norm": 0.0})
    diagnosis.evaluated(50, {"eval/loss": 2.0})
    assert diagnosis.findings == []


def turned(pairs: Sequence[Preference]) -> list[Preference]:
    return [replace(p, p_first={a: 1 - v for a, v in p.p_first.items()}) for p in pairs]


def guessed(pairs: Sequence[Preference]) -> list[Preference]:
    coin = random.Random(0)
    return [replace(p, p_first={"overall": float(coin.random() < 0.5)}) for p in pairs]


def tied(pairs: Sequence[Preference]) -> list[Preference]:
    return [replace(p, p_first={"overall": 0.5}) for p in pairs]


def warnings(
    run: Path, pairs: Sequence[Preference], judged: Sequence[Preference], **changes: Any
) -> list[str]:
    """What a run of the tiny MPS head says at its end."""
    fit = {**brightness.FIT, "steps": 100, "log_every_steps": 10, **changes.pop("fit", {})}
    given = {"options": brightness.MPS_OPTIONS, "pairs_per_batch": 8, "leaks": "allow", **changes}
    config = RewardTraining(run=str(run), device="cpu", fit=FitConfig(**fit), **given)
    train_reward(config, pairs, judged)
    found: list[str] = json.loads((run / "summary.json").read_text())["warnings"]
    return found


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Preference], list[Preference]]:
    folder = tmp_path_factory.mktemp("pictures")
    return brightness.preferences(folder, 24), brightness.preferences(folder, 12, seed=1)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_healthy_run_is_warned_of(
    tmp_path: Path, sides: tuple[list[Preference], list[Preference]], seed: int
) -> None:
    assert warnings(tmp_path / "run", *sides, fit={"seed": seed}) == []


def test_each_fault_is_told_on_a_real_run(
    tmp_path: Path, sides: tuple[list[Preference], list[Preference]]
) -> None:
    pairs, judged = sides
    (slow,) = warnings(tmp_path / "slow", pairs, judged, fit={"learning_rate": 1e-8})
    assert "learning rate is too low" in slow
    (other,) = warnings(tmp_path / "turned", pairs, turned(judged))
    assert "p_first of the pairs to judge by looks turned round" in other
    (ties,) = warnings(tmp_path / "ties", tied(pairs), judged)
    assert "100% of the training pairs are ties" in ties
    long: dict[str, Any] = {"train": "all", "fit": {"steps": 120}}
    noise = warnings(tmp_path / "noise", guessed(pairs[:36]), judged, **long)
    assert any("random" in told for told in noise)


def test_a_score_that_nothing_learned_can_change_is_told_on_a_real_run(tmp_path: Path) -> None:
    """A bias adds the same to both scores."""
    head = nn.Linear(3, 1)
    head.weight.requires_grad_(False)  # noqa: FBT003
    diagnosis = Diagnosis(CHANCE)

    def step(k: int) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        pictures = torch.randn(8, 2, 3, generator=torch.Generator().manual_seed(k))
        margin = head(pictures).diff(dim=1).flatten()
        return preference_kl(margin, torch.ones(8)), {"train/margin_std": margin.std().detach()}

    task = Task(
        step,
        lambda start, stride: itertools.count(start, stride),
        lambda rank, count: {"eval/accuracy": (3.0, 8.0)},
        diagnosis=diagnosis,
    )
    fit(task, head, FitConfig(steps=20, evaluate_every_steps=20), tmp_path, Processes(cpu=True))
    assert "everything that could is frozen or detached" in diagnosis.findings[0]
