"""What stays is not walked through; what comes later is collected as ever."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from beholder.serving.heap import settle, unsettled_afterwards


class Knot:
    """Refers to itself, so that only a collection frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _unfrozen() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_is_there_is_not_walked_through_any_more() -> None:
    settle()
    assert gc.get_freeze_count() > 10_000  # modules alone
    assert len(gc.get_objects()) < 1_000


def test_garbage_is_freed_before_and_after() -> None:
    before = weakref.ref(Knot())
    settle()
    assert before() is None
    after = weakref.ref(Knot())
    gc.collect()
    assert after() is None


def test_afterwards_everything_is_seen_again() -> None:
    kept = Knot()
    with unsettled_afterwards():
        settle()
        gone = weakref.ref(kept)
        del kept
        gc.collect()
        assert gone() is not None
    gc.collect()
    assert gone() is None
    assert gc.get_freeze_count() == 0
