"""Cells: finite numbers and no reason, or a reason and no numbers."""

import math

import pytest
import torch
from torch import Tensor

import beholder
from beholder.errors import ImageError
from beholder.inputs import Row
from beholder.rewards import _cells
from beholder.rewards._cells import BatchScorer, Column, parts_of, scored
from beholder.rewards._read_ahead import Task, Views
from beholder.types import ASPECTS
from tests.rewards.sharded.hostile import Deadly, Marked


def picture(*red: float) -> Tensor:
    """One line of pixels whose red is given, in 8 bits."""
    values = torch.zeros(3, 1, len(red), dtype=torch.uint8)
    values[0, 0] = (torch.tensor(red) * 255).round().to(torch.uint8)
    return values


def test_maps_and_words_are_counted() -> None:
    pictures = [picture(0.2, 0.8, 0.6, 0.4), picture(0.0, 0.0, 0.0, 1.0)]
    first, second = scored(Marked(), pictures, ["a red fox here", "..."])
    assert list(first) == [
        "total",
        "red.area",
        "red.peak",
        "misaligned_words",
        "misaligned_share",
        "error",
    ]
    assert first == pytest.approx(
        {
            "total": 0.5,
            "red.area": 0.5,
            "red.peak": 0.8,
            "misaligned_words": 1,
            "misaligned_share": 0.25,
            "error": None,
        }
    )
    assert (second["red.area"], second["red.peak"]) == (0.25, 1.0)
    assert (second["misaligned_words"], second["misaligned_share"]) == (0, 0)


def test_a_prompt_without_words_has_none_missed() -> None:
    (cell,) = scored(Marked(), [picture(0.5)], [""])
    assert (cell["misaligned_words"], cell["misaligned_share"]) == (0, 0)


def test_a_row_with_a_reason_has_no_numbers() -> None:
    rows: list[Tensor | ImageError] = [picture(0.5), ImageError("empty", "no bytes")]
    good, bad = scored(Marked(), rows, ["a", "a"])
    assert good["error"] is None
    assert bad == {**dict.fromkeys(good), "error": "empty: no bytes"}


def test_a_map_that_is_not_finite_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    score = Marked.score_prepared

    def broken(self: Marked, pixels: Tensor, prompts: list[str]) -> beholder.Scores:
        found = score(self, pixels, prompts)
        found.maps["red"][0, 0, 0] = math.nan
        return found

    monkeypatch.setattr(Marked, "score_prepared", broken)
    reward = Marked()
    with monkeypatch.context() as patch:
        patch.setattr(Marked, "preprocess", lambda self, pixels: pixels.float() / 255)
        (cell,) = scored(reward, [picture(0.5, 0.5)], ["a"])
    assert cell["error"] == "non-finite: the reward gave no finite red.area"
    assert cell["total"] is None


def test_columns_are_as_long_as_the_rows_and_end_with_the_reason() -> None:
    column = Column()
    column.cells += [{"total": None, "error": "empty: x"}]
    column.cells += [{"total": 0.5, "red.area": 0.1, "error": None}]
    assert column.columns("r") == {
        "r.total": [None, 0.5],
        "r.red.area": [None, 0.1],
        "r.error": ["empty: x", None],
    }
    assert list(column.columns("r", ("total", "error", "late"))) == [
        "r.total",
        "r.late",
        "r.red.area",
        "r.error",
    ]
    assert column.errors() == {"empty": 1}


def test_the_parts_of_a_reward_are_known_beforehand() -> None:
    assert parts_of(beholder.load("tiny")) == ("total", *ASPECTS, "error")
    assert "red.peak" in parts_of(Marked())


def batch(*levels: float) -> list[tuple[Task, Views | ImageError]]:
    rows = [Row(key=str(k), image=None, prompt="a", name="") for k in range(len(levels))]
    pictures = [torch.full((3, 1, 1), round(v * 255), dtype=torch.uint8) for v in levels]
    return [
        (Task(row, frozenset({"r"})), {None: pixels})
        for row, pixels in zip(rows, pictures, strict=True)
    ]


def test_a_reward_that_never_worked_is_at_fault_and_later_the_picture() -> None:
    scorer = BatchScorer({"r": Deadly()})
    with pytest.raises(RuntimeError, match="black hole"):
        scorer.score(batch(0))
    (cell,) = scorer.score(batch(0.2))["r"]
    assert cell["total"] == pytest.approx(0.2)
    (cell,) = scorer.score(batch(0))["r"]
    assert str(cell["error"]).startswith("reward-failed: RuntimeError: black hole")


def test_a_broken_gpu_is_no_pictures_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cells, "_BROKEN", (RuntimeError,))
    with pytest.raises(RuntimeError, match="black hole"):
        BatchScorer({"r": Deadly()}, worked={"r"}).score(batch(0))


def test_rewards_see_only_rows_that_lack_them() -> None:
    scorer = BatchScorer({"r": Deadly(), "s": Deadly()})
    found = scorer.score(batch(0.2, 0.4))
    assert list(found) == ["r"]
    assert [cell["total"] for cell in found["r"]] == pytest.approx([0.2, 0.4])
