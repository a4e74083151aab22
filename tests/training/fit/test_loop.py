import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from beholder.errors import BeholderError, ConfigError
from beholder.training.fit.checkpoints import read_newest
from beholder.training.fit.journal import read_journal
from beholder.training.fit.learner import FitConfig
from beholder.training.fit.loop import Task, batch_seed, chosen_precision, fit
from beholder.training.fit.processes import Processes
from tests.training import line
from tests.training.together import finish, free_port, start

Weights = Mapping[str, Tensor]


def newest_step(folder: Path) -> int:
    steps = [int(p.name.removeprefix("step-")) for p in (folder / "checkpoints").glob("step-*")]
    return max(steps, default=0)


def kill_later(process: ForkServerProcess, folder: Path, seconds: float) -> None:
    """Kill a run some time after it wrote another checkpoint."""
    before = newest_step(folder)
    while newest_step(folder) == before and process.is_alive():
        time.sleep(0.002)
    time.sleep(seconds)
    process.kill()
    process.join(120)


def final(folder: Path) -> Weights:
    weights: Weights = torch.load(folder / "final.pt")
    return weights


def same(one: Weights, two: Weights) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


@pytest.mark.long
def test_a_run_killed_three_times_ends_with_the_same_weights_as_one_that_was_not(
    tmp_path: Path,
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    uninterrupted = start(line.run_slowly, whole)
    random = np.random.default_rng()  # any moment has to do
    steps = []
    for _ in range(3):
        kill_later(start(line.run_slowly, killed), killed, random.uniform(0, 0.2))
        steps.append(newest_step(killed))
    finish(start(line.run_slowly, killed))
    finish(uninterrupted)
    assert 0 < steps[0] < steps[1] <= steps[2] <= 40
    assert same(final(killed), final(whole))
    mine, theirs = (read_journal(folder / "metrics.jsonl") for folder in (killed, whole))
    assert [drop_time(row) for row in mine] == [drop_time(row) for row in theirs]


def drop_time(values: Mapping[str, float]) -> dict[str, float]:
    return {k: v for k, v in values.items() if not k.startswith("time/")}


def test_a_run_whose_newest_checkpoint_is_cut_goes_on_from_the_one_before(tmp_path: Path) -> None:
    whole = line.model()
    line.run(tmp_path / "whole", whole, checkpoint_every_steps=6, steps=20)
    damaged = tmp_path / "whole" / "checkpoints" / "step-00000020" / "tensors.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-7])
    again = line.model()
    progress = line.run(tmp_path / "whole", again, checkpoint_every_steps=6, steps=20)
    assert progress.step == 20
    assert same(whole.state_dict(), again.state_dict())


def test_two_processes_do_what_one_does_with_twice_the_accumulation(tmp_path: Path) -> None:
    config = FitConfig(steps=6, learning_rate=0.01, warmup_steps=2, accumulation=2)
    port = free_port()
    both = [start(line.run_together, tmp_path / "two", k, 2, port, config) for k in (0, 1)]
    for process in both:
        finish(process)
    alone = line.model(dropout=0)
    fit(
        line.task(alone),
        alone,
        replace(config, accumulation=4),
        tmp_path / "one",
        Processes(cpu=True),
    )
    together = final(tmp_path / "two")
    for name, weight in alone.state_dict().items():
        torch.testing.assert_close(together[name], weight, atol=1e-6, rtol=1e-6)
    one, two = (read_journal(tmp_path / name / "metrics.jsonl") for name in ("one", "two"))
    for mine, theirs in zip(one, two, strict=True):
        assert drop_time(mine) == pytest.approx(drop_time(theirs), rel=1e-5)


def test_the_line_is_found_and_the_numbers_are_written(tmp_path: Path) -> None:
    module = line.model(dropout=0)
    progress = line.run(tmp_path, module, steps=300, learning_rate=0.03, evaluate_every_steps=100)
    assert progress.metrics is not None
    assert progress.metrics["eval/closeness"] > -1e-2
    rows = read_journal(tmp_path / "metrics.jsonl")
    evaluated = {r["step"]: r["eval/closeness"] for r in rows if "eval/closeness" in r}
    assert list(evaluated) == [0, 100, 200, 300]
    losses = {r["step"]: r["train/loss"] for r in rows if "train/loss" in r}
    assert list(losses) == list(range(10, 301, 10))
    assert losses[300] < losses[10] / 100
    assert rows[1]["train/size"] == 4
    assert any((tmp_path / "tensorboard").iterdir())


def test_one_step_of_plain_gradient_is_adamw_by_hand(tmp_path: Path) -> None:
    """The first AdamW step is the sign of the gradient times the rate, after weight decay."""
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(2.0)

    def one_two_three(start: int, stride: int) -> Iterator[float]:
        yield from (float(k) for k in range(start, 10, stride))

    def step(batch: float) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        return module.weight.sum() * (batch + 1), {}

    config = FitConfig(steps=1, learning_rate=0.1, warmup_steps=0, weight_decay=0.5, accumulation=3)
    fit(Task(step, one_two_three), module, config, tmp_path, Processes(cpu=True))
    assert module.weight.item() == pytest.approx(2 - 0.1 * 0.5 * 2 - 0.1, abs=1e-6)
    first = read_journal(tmp_path / "metrics.jsonl")[0]
    assert first["train/loss"] == pytest.approx((2 + 4 + 6) / 3)
    assert first["train/gradient_norm"] == pytest.approx((1 + 2 + 3) / 3)


def scripted(values: list[float]) -> Task[float]:
    """A task whose evaluations give `values` one after another."""
    left = iter(values)
    return Task(
        step=lambda _: (MODULE.weight.square().sum(), {}),
        batches=lambda start, stride: iter([0.0] * 100),
        evaluate=lambda rank, processes: {"eval/accuracy": (next(left), 1.0)},
    )


MODULE = nn.Linear(1, 1, bias=False)


def test_the_best_weights_are_kept_and_patience_stops_the_run(tmp_path: Path) -> None:
    config = FitConfig(steps=50, evaluate_every_steps=1, patience_evaluations=3, warmup_steps=0)
    task = scripted([0.1, 0.5, 0.9, 0.9, 0.2, 0.3, 1.0])
    progress = fit(task, MODULE, config, tmp_path, Processes(cpu=True))
    assert (progress.step, progress.best_step, progress.is_stopped) == (5, 2, True)
    assert progress.metrics == {"eval/accuracy": 0.9}
    newest = read_newest(tmp_path / "checkpoints")
    assert newest is not None
    assert newest.step == 5
    assert torch.equal(MODULE.weight, newest.tensors["best/weight"])
    assert not torch.equal(MODULE.weight, newest.tensors["weights/weight"])
    again = fit(scripted([]), MODULE, config, tmp_path, Processes(cpu=True))
    assert again == progress  # a run that was stopped stays so


def test_a_tie_is_decided_by_the_later_number(tmp_path: Path) -> None:
    left = iter([(0.9, 3.0), (0.9, 2.0), (0.9, 2.5)])

    def evaluate(rank: int, processes: int) -> Mapping[str, tuple[float, float]]:
        accuracy, loss = next(left)
        return {"eval/accuracy": (accuracy, 1.0), "eval/loss": (loss, 1.0)}

    task = replace(
        scripted([]),
        evaluate=evaluate,
        objective=lambda m: (m["eval/accuracy"], -m["eval/loss"]),
    )
    config = FitConfig(steps=2, evaluate_every_steps=1)
    progress = fit(task, MODULE, config, tmp_path, Processes(cpu=True))
    assert progress.best_step == 1


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    task: Task[float] = Task(
        lambda _: (MODULE.weight.sum() * math.nan, {}), lambda start, stride: iter([0.0])
    )
    with pytest.raises(BeholderError, match="loss is nan at step 0"):
        fit(task, MODULE, FitConfig(), tmp_path, Processes(cpu=True))


def test_the_random_state_of_the_caller_is_left_alone(tmp_path: Path) -> None:
    module = line.model()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    line.run(tmp_path, module, steps=2)
    assert torch.equal(torch.rand(3), expected)


def test_bf16_computes_in_bf16_and_keeps_float32_weights(tmp_path: Path) -> None:
    module = nn.Linear(4, 4)
    seen: list[torch.dtype] = []

    def step(batch: float) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        out = module(torch.ones(2, 4))
        seen.append(out.dtype)
        return out.float().square().sum(), {}

    task = Task(step, lambda start, stride: iter([0.0]))
    config = FitConfig(steps=1, precision="bf16")
    fit(task, module, config, tmp_path, Processes(cpu=True))
    assert seen == [torch.bfloat16]
    assert module.weight.dtype == torch.float32


def test_bf16_learns_what_fp32_learns(tmp_path: Path) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        folder = tmp_path / precision
        line.run(folder, line.model(dropout=0), steps=60, learning_rate=0.03, precision=precision)
        rows = read_journal(folder / "metrics.jsonl")
        losses[precision] = [row["train/loss"] for row in rows if "train/loss" in row]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.1, abs=0.02)
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"][-1] < losses["bf16"][0] / 10


def test_the_average_is_what_is_evaluated_and_kept(tmp_path: Path) -> None:
    """Of a weight that grows by 1 a step, averaged with decay 1/2 after (1 + t) / (10 + t)."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    seen: list[float] = []

    def evaluate(rank: int, count: int) -> Mapping[str, tuple[float, float]]:
        seen.append(module.weight.item())
        return {"eval/size": (seen[-1], 1.0)}

    task = Task(
        lambda _: (-module.weight.sum(), {}), lambda start, stride: iter([0.0] * 9), evaluate
    )
    config = FitConfig(
        steps=3,
        learning_rate=1.0,
        warmup_steps=0,
        schedule="constant",
        weight_decay=0,
        ema_decay=0.5,
        evaluate_every_steps=1,
    )
    fit(task, module, config, tmp_path, Processes(cpu=True))
    average, expected = 0.0, [0.0]
    for t, weight in enumerate([1.0, 2.0, 3.0]):
        decay = min(0.5, (2 + t) / (11 + t))
        average = decay * average + (1 - decay) * weight
        expected.append(average)
    assert seen == pytest.approx(expected, rel=1e-5)
    assert module.weight.item() == pytest.approx(average, rel=1e-5)
    newest = read_newest(tmp_path / "checkpoints")
    assert newest is not None
    assert newest.tensors["weights/weight"].item() == pytest.approx(3, rel=1e-5)


def test_a_cpu_computes_in_fp32_unless_told_and_never_in_fp16() -> None:
    cpu = torch.device("cpu")
    assert chosen_precision("auto", cpu) == "fp32"
    assert chosen_precision("bf16", cpu) == "bf16"
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        chosen_precision("fp16", cpu)


def test_seeds_differ_by_batch_and_seed() -> None:
    assert len({batch_seed(seed, number) for seed in range(3) for number in range(9)}) == 27


def test_metrics_are_json(tmp_path: Path) -> None:
    line.run(tmp_path, line.model(), steps=2, log_every_steps=1)
    for text in (tmp_path / "metrics.jsonl").read_text().splitlines():
        assert json.loads(text)["step"] in {0, 1, 2}
