"""Results come in order, not too many wait, and a fault reaches the reader."""

import threading
from collections.abc import Iterator

import pytest

from beholder._ahead import ahead


def test_results_come_in_the_order_of_their_items() -> None:
    found = list(ahead(lambda n: n * n, range(50), most=4, size=lambda _: 1))
    assert found == [(n, n * n) for n in range(50)]


@pytest.mark.parametrize(("size", "most_taken"), [(1, 4 + 2 + 1), (2**20, 2 + 2)])
def test_no_more_items_are_taken_than_may_wait(size: int, most_taken: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1, 101):
            taken = number
            yield number

    made = ahead(lambda n: n, items(), most=4, size=lambda _: size, threads=2, memory=2**20)
    for count in range(1, 20):
        next(made)
        assert taken <= count + 4 + 2
    assert taken <= count - 1 + most_taken


def test_what_the_work_raises_the_reader_sees() -> None:
    def fail(n: int) -> int:
        raise ValueError(f"item {n}")

    with pytest.raises(ValueError, match="item 0"):
        list(ahead(fail, range(3), most=1, size=lambda _: 1))


def test_threads_are_gone_when_the_reader_stops_early() -> None:
    before = threading.active_count()
    made = ahead(lambda n: n, range(100), most=4, size=lambda _: 1, threads=2)
    next(made)
    made.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
