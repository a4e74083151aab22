"""Pictures come in order, ahead of time, and not too many at once."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from beholder.errors import ImageError
from beholder.inputs import Row
from beholder.rewards import _read_ahead
from beholder.rewards._read_ahead import Task, batches, decoded


def tasks(levels: range, side: int = 4) -> Iterator[Task]:
    for k in levels:
        image = np.full((side, side, 3), k, np.uint8)
        yield Task(Row(key=str(k), image=image, prompt="", name=""), frozenset({"r"}))


def test_pictures_come_in_order() -> None:
    found = list(decoded(tasks(range(100)), "white", batch_size=8))
    assert [task.row.key for task, _ in found] == [str(k) for k in range(100)]
    assert [int(picture.max()) for _, picture in found if isinstance(picture, torch.Tensor)] == (
        list(range(100))
    )


def test_a_row_without_a_picture_is_an_error() -> None:
    task = Task(Row(key="a", image=None, prompt="", name=""), frozenset())
    ((_, picture),) = decoded([task], "white", batch_size=8)
    assert isinstance(picture, ImageError)
    assert picture.code == "no-picture"


def test_reading_ahead_is_bounded_in_rows_and_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0

    def counted(side: int) -> Iterator[Task]:
        nonlocal taken
        for taken, task in enumerate(tasks(range(200), side), 1):  # noqa: B007
            yield task

    monkeypatch.setattr("os.cpu_count", lambda: 2)
    stream = decoded(counted(4), "white", batch_size=8)
    next(stream)
    assert taken == 8 + 2 + 1
    monkeypatch.setattr(_read_ahead, "READ_AHEAD_BYTES", 4 * 4 * 3 * 5)
    stream = decoded(counted(4), "white", batch_size=100)
    for _ in range(98):
        next(stream)
    assert taken == 98 + 5


def test_batches_are_cut_by_number_and_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    small = list(decoded(tasks(range(10)), "white", batch_size=4))
    assert [len(batch) for batch in batches(small, 4)] == [4, 4, 2]
    monkeypatch.setattr(_read_ahead, "READ_AHEAD_BYTES", 4 * 4 * 3 * 2)
    assert [len(batch) for batch in batches(small, 4)] == [3, 3, 3, 1]
