"""What a run keeps when something around it fails."""

import errno
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from beholder.errors import BeholderError
from beholder.training.fit.checkpoints import read_newest
from beholder.training.fit.journal import read_journal
from beholder.training.fit.learner import FitConfig
from beholder.training.fit.loop import Progress, Task, fit
from beholder.training.fit.processes import Processes
from tests.training import line

CONFIG = FitConfig(
    steps=12,
    learning_rate=0.01,
    warmup_steps=2,
    ema_decay=0.9,
    evaluate_every_steps=4,
    checkpoint_every_steps=5,
    log_every_steps=1,
)


class Failing:
    """A step that raises at the nth call, and never again."""

    def __init__(self, module: nn.Module, call: int, error: BaseException) -> None:
        self.task = line.task(module)
        self.left, self.error = call, error

    def step(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        self.left -= 1
        if self.left == 0:
            raise self.error
        return self.task.step(batch)


def run(task: Task[Any], module: nn.Module, folder: Path) -> Progress:
    return fit(task, module, CONFIG, folder, Processes(cpu=True))


def whole(folder: Path) -> tuple[nn.Module, list[dict[str, float]]]:
    module = line.model()
    run(line.task(module), module, folder)
    return module, journal(folder)


def journal(folder: Path) -> list[dict[str, float]]:
    rows = read_journal(folder / "metrics.jsonl")
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows]


def goes_on_as_if_nothing_had_happened(folder: Path) -> None:
    module = line.model()
    run(line.task(module), module, folder / "failed")
    expected, rows = whole(folder / "whole")
    for name, weight in expected.state_dict().items():
        assert torch.equal(module.state_dict()[name], weight)
    assert journal(folder / "failed") == rows


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BeholderError("the server is down")])
def test_a_run_that_is_stopped_keeps_its_last_step(tmp_path: Path, error: BaseException) -> None:
    module = line.model()
    failing = Failing(module, 8, error)
    task = replace(failing.task, step=failing.step)
    with pytest.raises(type(error)):
        run(task, module, tmp_path / "failed")
    newest = read_newest(tmp_path / "failed" / "checkpoints")
    assert newest is not None
    assert newest.step == 7
    goes_on_as_if_nothing_had_happened(tmp_path)


def test_a_lack_of_memory_is_one_line_and_can_go_on(tmp_path: Path) -> None:
    module = line.model()
    failing = Failing(module, 4, torch.OutOfMemoryError("tried to allocate 20 GiB"))
    with pytest.raises(
        BeholderError, match=r"out of memory after step 3 .*20 GiB.*smaller batches"
    ):
        run(replace(failing.task, step=failing.step), module, tmp_path / "failed")
    goes_on_as_if_nothing_had_happened(tmp_path)


def test_an_evaluation_that_failed_is_made_up_for(tmp_path: Path) -> None:
    module = line.model()
    task = line.task(module)
    evaluate = task.evaluate
    assert evaluate is not None
    calls: list[int] = []

    def failing(rank: int, count: int) -> Mapping[str, tuple[float, float]]:
        calls.append(1)
        if len(calls) == 3:
            raise BeholderError("the server is down")
        return evaluate(rank, count)

    with pytest.raises(BeholderError, match="server"):
        run(replace(task, evaluate=failing), module, tmp_path / "failed")
    newest = read_newest(tmp_path / "failed" / "checkpoints")
    assert newest is not None
    assert newest.step == 8
    goes_on_as_if_nothing_had_happened(tmp_path)


def test_a_full_disk_leaves_the_checkpoints_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def full(tensors: dict[str, Tensor], path: Path) -> None:
        written.append(path)
        if len(written) > 1:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save_file(tensors, path)

    monkeypatch.setattr("beholder.training.fit.checkpoints.save_file", full)
    module = line.model()
    with pytest.raises(OSError, match="No space left"):
        run(line.task(module), module, tmp_path / "failed")
    newest = read_newest(tmp_path / "failed" / "checkpoints")
    assert newest is not None
    assert newest.step == 5
    monkeypatch.undo()
    goes_on_as_if_nothing_had_happened(tmp_path)


def test_the_main_process_is_told_of_each_evaluation_once_it_is_written(tmp_path: Path) -> None:
    module = line.model()
    seen: list[tuple[int, bool]] = []

    def evaluated(step: int) -> None:
        rows = read_journal(tmp_path / "metrics.jsonl")
        seen.append((step, rows[-1]["step"] == step and "eval/closeness" in rows[-1]))

    run(replace(line.task(module), evaluated=evaluated), module, tmp_path)
    assert seen == [(0, True), (4, True), (8, True), (12, True)]
