"""Pictures come in order, ahead of time, and not too many at once."""

from collections.abc import Iterator

import numpy as np
import pytest

from beholder.errors import ImageError
from beholder.inputs import Row
from beholder.rewards import _read_ahead
from beholder.rewards._preprocess import Preprocess
from beholder.rewards._read_ahead import Task, batches, decoded

WHOLE: dict[str, Preprocess | None] = {"r": None}


def tasks(levels: range, side: int = 4) -> Iterator[Task]:
    for k in levels:
        image = np.full((side, side, 3), k, np.uint8)
        yield Task(Row(key=str(k), image=image, prompt="", name=""), frozenset({"r"}))


def test_pictures_come_in_order() -> None:
    found = list(decoded(tasks(range(100)), "white", batch_size=8, fittings=WHOLE))
    assert [task.row.key for task, _ in found] == [str(k) for k in range(100)]
    levels = [int(v[None].max()) for _, v in found if not isinstance(v, ImageError)]
    assert levels == list(range(100))


def test_a_picture_is_shrunk_once_for_all_rewards_that_want_it_alike() -> None:
    small, other = Preprocess(size=2), Preprocess(size=2, half=True)
    (task,) = tasks(range(7, 8))
    fittings = {"a": small, "b": Preprocess(size=2), "c": None, "d": other}
    task = Task(task.row, frozenset("abc"))
    ((_, views),) = decoded([task], "white", batch_size=8, fittings=fittings)
    assert not isinstance(views, ImageError)
    assert set(views) == {small, None}
    assert views[small].shape == (3, 2, 2)
    assert views[None].shape == (3, 4, 4)


def test_a_row_without_a_picture_is_an_error() -> None:
    task = Task(Row(key="a", image=None, prompt="", name=""), frozenset())
    ((_, picture),) = decoded([task], "white", batch_size=8, fittings=WHOLE)
    assert isinstance(picture, ImageError)
    assert picture.code == "no-picture"


def test_reading_ahead_is_bounded_in_rows_and_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0

    def counted(side: int) -> Iterator[Task]:
        nonlocal taken
        for taken, task in enumerate(tasks(range(200), side), 1):  # noqa: B007
            yield task

    monkeypatch.setattr("os.cpu_count", lambda: 2)
    stream = decoded(counted(4), "white", batch_size=8, fittings=WHOLE)
    next(stream)
    assert taken == 8 + 2 + 1
    monkeypatch.setattr(_read_ahead, "READ_AHEAD_BYTES", 4 * 4 * 3 * 5)
    stream = decoded(counted(4), "white", batch_size=100, fittings=WHOLE)
    for _ in range(98):
        next(stream)
    assert taken == 98 + 5


def test_batches_are_cut_by_number_and_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    small = list(decoded(tasks(range(10)), "white", batch_size=4, fittings=WHOLE))
    assert [len(batch) for batch in batches(small, 4)] == [4, 4, 2]
    monkeypatch.setattr(_read_ahead, "READ_AHEAD_BYTES", 4 * 4 * 3 * 2)
    assert [len(batch) for batch in batches(small, 4)] == [3, 3, 3, 1]
