import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from beholder.errors import BeholderError
from beholder.rewards._towers import Towers, build_towers
from beholder.training.fit.finiteness import cause_in, first_damaged, first_not_finite, tensors_in
from beholder.training.fit.journal import read_journal
from beholder.training.fit.learner import FitConfig
from beholder.training.fit.loop import Task, fit
from beholder.training.fit.processes import Processes
from tests.rewards import tiny_towers


class Squeezed(nn.Module):
    """A layer, then a root whose slope at 0 is infinite."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.first = nn.Linear(2, 1, bias=False)
        self.last = nn.Linear(1, 1)
        nn.init.constant_(self.first.weight, weight)
        nn.init.ones_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.first(x).sqrt()).sum()
        return out


@dataclass
class Pictures:
    names: list[str]
    pixels: dict[str, Tensor]


def cause(weight: float, pixel: float = 1.0) -> str:
    module = Squeezed(weight)
    x = torch.full((3, 2), pixel)
    return cause_in(module, Pictures(["a"], {"small": x}), lambda: module(x))


def test_a_weight_is_named_before_all_else() -> None:
    assert "the weights were not finite before this step, 'first.weight' first" in cause(math.nan)


def test_of_an_earlier_step_the_start_is_not_accused() -> None:
    module = Squeezed(math.nan)
    told = cause_in(module, [], lambda: module(torch.ones(1, 2)), step=7)
    assert "'first.weight' first: an earlier step spoiled them: lower the learning rate" in told


TOWERS: dict[str, dict[str, Any]] = {
    "clip": {"kind": "clip", **tiny_towers.CLIP},
    "open_clip": tiny_towers.OPEN_CLIP,
}


@pytest.fixture(params=TOWERS)
def towers(request: pytest.FixtureRequest) -> Towers:
    return build_towers(TOWERS[request.param])


def cause_in_towers(towers: Towers, pixel: float = 1.0) -> str:
    side = {"ClipTowers": 32, "OpenClipTowers": 64}[type(towers).__name__]
    pixels = torch.full((2, 3, side, side), pixel)

    def loss() -> Tensor:
        both = torch.cat([towers.pooled_image(pixels), towers.pooled_text(["a cat", "a dog"])])
        return both.square().sum()

    return cause_in(towers, [pixels], loss)


def test_towers_that_are_whole_have_no_cause_whatever_their_masks_hold(towers: Towers) -> None:
    assert cause_in_towers(towers) == ""


def test_in_towers_the_picture_is_named_not_the_mask(towers: Towers) -> None:
    assert "its batch is not finite, batch[0] first" in cause_in_towers(towers, math.nan)


def test_in_towers_a_weight_that_is_damaged_is_named(towers: Towers) -> None:
    name, weight = list(towers.named_parameters())[-1]
    weight.data.view(-1)[0] = math.inf
    assert f"{name!r} first" in cause_in_towers(towers)


def test_a_buffer_that_is_no_number_is_damage_and_infinity_is_none() -> None:
    module = nn.BatchNorm1d(2)
    buffers = dict(module.named_buffers())
    buffers["running_var"].fill_(math.inf)
    assert first_damaged(module) is None
    buffers["running_mean"][1] = math.nan
    assert first_damaged(module) == "running_mean"


def test_an_input_is_named_by_how_one_reaches_it() -> None:
    assert "its batch is not finite, batch.pixels['small'] first" in cause(1.0, math.inf)


def test_the_first_part_whose_output_overflows_is_named() -> None:
    """The root of a negative number is computed between the parts, so the next one shows it."""
    assert "the output of 'last' is the first that is not" in cause(-1.0)
    assert "the output of 'first' is the first that is not" in cause(3e38)


def test_the_first_gradient_in_the_backward_pass_is_named() -> None:
    """sqrt(0) is 0, its slope infinite: the layer behind it is fine, the one before it is not."""
    assert "the gradient is not, that of 'first.weight' first" in cause(0.0)


def test_where_all_is_finite_there_is_no_cause() -> None:
    assert cause(1.0) == ""


def test_whole_numbers_and_texts_are_passed_over() -> None:
    named = dict(tensors_in([{"a": torch.tensor([1])}, "text", (torch.zeros(1),)]))
    assert list(named) == ["batch[0]['a']", "batch[2][0]"]
    assert first_not_finite(iter(named.items())) is None


def task(module: Squeezed, *pixels: float) -> Task[Tensor]:
    def batches(start: int, stride: int) -> Iterator[Tensor]:
        yield from (torch.full((1, 2), pixel) for pixel in pixels[start::stride])

    def step(x: Tensor) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        return module(x), {}

    return Task(step, batches)


def run(module: Squeezed, folder: Path, *pixels: float) -> None:
    config = FitConfig(steps=2, accumulation=2, learning_rate=1e-3, warmup_steps=0)
    fit(task(module, *pixels), module, config, folder, Processes(cpu=True))


def test_a_run_that_fails_names_step_cause_and_cure(tmp_path: Path) -> None:
    with pytest.raises(BeholderError) as told:
        run(Squeezed(1.0), tmp_path, 1.0, 1.0, 1.0, math.nan)
    assert str(told.value) == (
        "the loss is nan at step 1: its batch is not finite, batch first: look at the data behind "
        "it. Then start in a new folder"
    )


def test_a_gradient_that_is_not_finite_moves_no_weight(tmp_path: Path) -> None:
    module = Squeezed(1.0)
    with pytest.raises(BeholderError, match=r"gradient is nan at step 0: .*'first.weight' first"):
        run(module, tmp_path, 1.0, 0.0)
    assert torch.equal(module.first.weight, torch.ones(1, 2))
    assert not (tmp_path / "checkpoints").exists()


def test_an_evaluation_that_decides_nothing_is_an_error(tmp_path: Path) -> None:
    module = Squeezed(1.0)
    judged = Task(
        lambda x: (module(x), {}),
        lambda start, stride: iter([torch.ones(1, 2)]),
        lambda rank, count: {"eval/accuracy": (0.0, 0.0)},
    )
    with pytest.raises(BeholderError, match="at step 0 decides nothing: eval/accuracy is not"):
        fit(judged, module, FitConfig(steps=1), tmp_path, Processes(cpu=True))


def fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beholder.training.fit.loop.chosen_precision", lambda asked, device: "fp16")


def test_fp16_gradients_that_are_never_finite_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scale of 2^16 is halved seventeen times; then the loss itself has no gradient."""
    fp16(monkeypatch)
    module = Squeezed(1.0)
    with pytest.raises(BeholderError) as told:
        config = FitConfig(steps=200, log_every_steps=1)
        fit(task(module, *[0.0] * 200), module, config, tmp_path, Processes(cpu=True))
    assert str(told.value).startswith(
        "fp16 gradients are not finite with a loss scale of 1 at step 16: batch, weights and loss "
        "are finite, the gradient is not, that of 'first.weight' first"
    )
    rows = read_journal(tmp_path / "metrics.jsonl")
    assert [row["train/skipped"] for row in rows] == [1.0] * 16
    assert [row["train/loss_scale"] for row in rows] == [2.0**k for k in range(15, -1, -1)]
    assert torch.equal(module.first.weight, torch.ones(1, 2))


def test_fp16_steps_that_are_taken_count_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fp16(monkeypatch)
    module = Squeezed(1.0)
    small = Task(lambda x: (module(x).float() / 1e4, {}), task(module, 1.0, 0.0, 1.0, 1.0).batches)
    config = FitConfig(steps=4, warmup_steps=0, log_every_steps=1)
    fit(small, module, config, tmp_path, Processes(cpu=True))
    rows = read_journal(tmp_path / "metrics.jsonl")
    assert [row["train/skipped"] for row in rows] == [0, 1, 0, 0]
