"""What requests hold is bounded together, and let go however they end."""

import asyncio

import pytest

from beholder.serving.refusals import NotReadyError, TooLargeError
from beholder.serving.room import Room, held_now, hold


def test_more_than_there_is_is_refused_and_what_was_held_stays() -> None:
    room = Room(100)
    with room.held(0) as first, room.held(0) as second:
        first.take(60)
        second.take(40)
        with pytest.raises(NotReadyError) as caught:
            second.take(1)
        assert caught.value.retry_after == 1
        assert (first.count, second.count, room.taken) == (60, 40, 100)
    assert room.taken == 0


def test_what_is_expected_is_refused_if_there_is_no_room_and_not_held_if_there_is() -> None:
    room = Room(100)
    with room.held(0) as first, room.held(0) as second:
        first.take(60)
        second.expect(40)
        with pytest.raises(NotReadyError):
            second.expect(41)
        assert (second.count, room.taken) == (0, 60)


def test_who_needs_more_than_all_room_is_not_told_to_come_again() -> None:
    room = Room(100)
    with room.held(0) as held:
        held.take(60)
        with pytest.raises(TooLargeError, match="fewer pictures") as caught:
            held.take(41)
        assert caught.value.retry_after is None
        assert room.taken == 60


def test_what_nobody_asked_for_holds_nothing() -> None:
    hold(10**12)
    room = Room(100)
    with room.held(0) as held:
        hold(30)
        assert (held.count, room.taken) == (30, 30)
    assert room.taken == 0


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, NotReadyError])
def test_a_failure_lets_go(error: type[BaseException]) -> None:
    room = Room(100)
    with pytest.raises(error), room.held(0) as held:
        held.take(100)
        raise error("x")
    assert room.taken == 0


def test_a_request_fetches_no_more_than_it_may_send() -> None:
    room = Room(100)
    with room.held(50) as held:
        assert held.take_fetched(30)
        assert not held.take_fetched(21)
        assert held.take_fetched(20)
        assert held.count == 50
    with room.held(500) as held:
        assert not held.take_fetched(101)
        assert room.taken == 0


def test_tasks_find_what_the_request_holds_that_began_them() -> None:
    room = Room(100)

    async def take(count: int) -> int:
        with room.held(0) as held:
            await asyncio.sleep(0)
            assert held_now() is held
            await asyncio.gather(*(asyncio.create_task(some()) for _ in range(count)))
            return held.count

    async def some() -> None:
        found = held_now()
        assert found is not None
        found.take(10)

    async def both() -> list[int]:
        return list(await asyncio.gather(take(2), take(5)))

    assert asyncio.run(both()) == [20, 50]
    assert held_now() is None
