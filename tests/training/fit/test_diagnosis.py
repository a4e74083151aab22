import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from beholder.training.fit.diagnosis import Diagnosis
from beholder.training.fit.learner import FitConfig
from beholder.training.fit.loop import Task, fit
from beholder.training.fit.processes import Processes
from beholder.training.judged.held_out import independent_pairs
from beholder.training.losses import preference_kl
from beholder.training.reward import RewardTraining, train_reward
from beholder.training.run import UNMOVED
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

    def __init__(self, moved: float = 0.1, independent: float | None = None) -> None:
        self.weight = torch.ones(4, 4)
        self.diagnosis = Diagnosis(CHANCE, independent=independent)
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


def rankings(prompts: int, pictures: int) -> list[Preference]:
    """All pairs of pictures of which later ones are better, in four aspects."""
    return [
        Preference(
            key=f"{p} {one} {two}",
            prompt=f"{p}",
            first=f"{p}/{one}",
            second=f"{p}/{two}",
            p_first=dict.fromkeys("abcd", 0.0),
        )
        for p in range(prompts)
        for one, two in itertools.combinations(range(pictures), 2)
    ]


def test_rankings_that_like_minded_aspects_repeat_do_not_look_turned_round_by_chance() -> None:
    """Of 1000 rewards with a random order, the same at both evaluations, under 1 % are accused."""
    independent = independent_pairs(rankings(20, 4), "abcd")
    scores = np.random.default_rng(0).random((1000, 20, 4))
    one, two = np.array(list(itertools.combinations(range(4), 2))).T
    found = []
    for accuracy in (scores[..., one] < scores[..., two]).mean(axis=(1, 2)).tolist():
        diagnosis = Diagnosis(CHANCE, independent=independent)
        for step in range(20):
            diagnosis.step(step, HEALTHY)
            if step % 10 == 9:
                metrics = {"eval/accuracy": accuracy, "eval/loss": 0.8}
                diagnosis.evaluated(step, metrics, {"eval/accuracy": 480.0})
        found.append(any("turned round" in told for told in diagnosis.findings))
    assert sum(found) < 10


@pytest.mark.parametrize(
    ("prompts", "pictures", "right"), [(20, 4, 0.3), (20, 3, 0.2), (24, 2, 0.1)]
)
def test_labels_turned_round_on_twenty_prompts_are_told(
    prompts: int, pictures: int, right: float
) -> None:
    held_out = rankings(prompts, pictures)
    run = Run(independent=independent_pairs(held_out, "abcd"))
    found = [run.goes_on(held_out=right, pairs=4 * len(held_out)) for _ in range(2)]
    assert "turned round" in found[1][0]


@pytest.mark.parametrize(("loss", "is_told"), [(1.8, True), (0.93, True), (0.6, False)])
def test_a_trained_reward_that_contradicts_people_is_told_before_any_training(
    loss: float, is_told: bool
) -> None:
    """A calibrated reward that is right in 65 % has 0.93 where the labels are turned."""
    diagnosis = Diagnosis(CHANCE, trained=True)
    metrics = {"eval/accuracy": 0.35, "eval/loss": loss}
    diagnosis.evaluated(0, metrics, {"eval/accuracy": 200.0})
    assert any("looks turned round" in told for told in diagnosis.findings) is is_told


def test_new_weights_may_contradict_people_at_first() -> None:
    metrics, counts = {"eval/accuracy": 0.3, "eval/loss": 1.8}, {"eval/accuracy": 200.0}
    for trained in (False, True):
        diagnosis = Diagnosis(CHANCE, trained=trained)
        diagnosis.evaluated(0, metrics, counts)
        assert any("looks turned round" in told for told in diagnosis.findings) is trained


def test_ratings_that_the_scores_never_come_near_are_not_called_random() -> None:
    diagnosis = Diagnosis(1.0)
    diagnosis.watch({"weight": (weight := torch.ones(3))})
    weight += 0.1
    for step in range(30):
        numbers = {"train/gradient_norm": 1.0, "train/learning_rate": 1e-5}
        diagnosis.step(step, {"train/loss": 9.0 - 0.01 * step, **numbers})
        if step % 10 == 9:
            diagnosis.evaluated(step, {"eval/loss": 9.0})
    (told,) = diagnosis.findings
    assert "far from the level of the ratings" in told
    assert "raise the learning rate, now 1e-05, set loss.scale" in told
    assert "random" not in told


def test_steps_that_fp16_skips_are_told_and_not_blamed_on_the_rate() -> None:
    run = Run(moved=0)
    found = [run.goes_on(skipped=0.3, gradient_norm=math.inf, loss=CHANCE) for _ in range(3)]
    assert found[0] == []
    (told,) = found[2]
    assert told.startswith("30% of the last 50 steps up to step 100 moved nothing")
    assert "precision=bf16" in told
    assert run.goes_on() == []


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


def test_findings_survive_a_stop_and_are_not_logged_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = Run()
    run.goes_on(tie_share=1.0)
    again = Diagnosis(CHANCE)
    caplog.clear()
    again.restore(json.loads(json.dumps(run.diagnosis.state())))
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


def test_no_healthy_run_is_warned_of(
    tmp_path: Path, sides: tuple[list[Preference], list[Preference]]
) -> None:
    assert warnings(tmp_path / "run", *sides) == []


def test_each_fault_is_told_on_a_real_run(
    tmp_path: Path, sides: tuple[list[Preference], list[Preference]]
) -> None:
    pairs, judged = sides
    slow_fit = {"learning_rate": 1e-8, "steps": 60}
    (slow,) = warnings(tmp_path / "slow", pairs, judged, fit=slow_fit)
    assert "learning rate is too low" in slow
    other, kept = warnings(tmp_path / "turned", pairs, turned(judged), fit={"steps": 80})
    assert "p_first of the pairs to judge by looks turned round" in other
    assert kept == UNMOVED
    (ties,) = warnings(tmp_path / "ties", tied(pairs), judged, fit={"steps": 20})
    assert "100% of the training pairs are ties" in ties


def bias_task(head: nn.Linear, diagnosis: Diagnosis, *, judged: bool = True) -> Task[int]:
    """Margins to which the head's bias adds nothing."""

    def step(k: int) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        pictures = torch.randn(8, 2, 3, generator=torch.Generator().manual_seed(k))
        margin = head(pictures).diff(dim=1).flatten()
        return preference_kl(margin, torch.ones(8)), {"train/margin_std": margin.std().detach()}

    return Task(
        step,
        lambda start, stride: itertools.count(start, stride),
        (lambda rank, count: {"eval/accuracy": (3.0, 8.0)}) if judged else None,
        diagnosis=diagnosis,
    )


@pytest.mark.parametrize("judged", [True, False])
def test_a_score_that_nothing_learned_can_change_is_told_on_a_real_run(
    tmp_path: Path, judged: bool
) -> None:
    """Also where nothing is held out."""
    head = nn.Linear(3, 1)
    head.weight.requires_grad_(False)  # noqa: FBT003
    nn.init.zeros_(head.weight)
    diagnosis = Diagnosis(CHANCE)
    task = bias_task(head, diagnosis, judged=judged)
    fit(task, head, FitConfig(steps=200), tmp_path, Processes(cpu=True))
    assert "loss stays at chance (0.6931, " in diagnosis.findings[0]
    assert "everything that could is frozen or detached" in diagnosis.findings[0]


@pytest.mark.parametrize("stop", [1, 13, 24, 37])
def test_a_run_that_was_stopped_finds_what_one_finds_that_was_not(
    tmp_path: Path, stop: int
) -> None:
    """The rate is so low that nothing moves; the finding tells how far the weights came."""
    every: dict[str, Any] = {"evaluate_every_steps": 10, "checkpoint_every_steps": 7}
    config = FitConfig(steps=40, learning_rate=1e-6, warmup_steps=0, **every)

    def run(folder: Path, stop_at: int | None) -> Diagnosis:
        torch.manual_seed(0)
        head, diagnosis = nn.Linear(3, 1), Diagnosis(CHANCE)
        task = bias_task(head, diagnosis)

        def step(k: int) -> tuple[Tensor, Mapping[str, Tensor | float]]:
            if k == stop_at:
                raise KeyboardInterrupt
            return task.step(k)

        fit(replace(task, step=step), head, config, folder, Processes(cpu=True))
        return diagnosis

    expected = run(tmp_path / "whole", None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", stop)
    again = run(tmp_path / "stopped", None)
    assert again.findings == expected.findings != []
    assert again.state() == expected.state()


def test_answers_by_the_toss_of_a_coin_are_told_on_a_real_run(tmp_path: Path) -> None:
    torch.manual_seed(0)
    head, diagnosis = nn.Linear(3, 1), Diagnosis(CHANCE)
    nn.init.constant_(head.weight, 0.05)

    def step(k: int) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        coin = torch.Generator().manual_seed(k)
        margin = head(torch.randn(64, 2, 3, generator=coin)).diff(dim=1).flatten()
        answers = torch.randint(2, (64,), generator=coin).float()
        right = ((margin > 0) == (answers > 0.5)).float().mean()
        return preference_kl(margin, answers), {"train/accuracy": right}

    task = replace(bias_task(head, diagnosis, judged=False), step=step)
    fit(task, head, FitConfig(warmup_steps=5, steps=200), tmp_path, Processes(cpu=True))
    (told,) = diagnosis.findings
    assert "so the labels look random to this reward" in told
