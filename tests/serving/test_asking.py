"""One request to the backend, for as long as somebody waits for it."""

import asyncio
from collections.abc import Callable

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from beholder.errors import BeholderError
from beholder.serving.asking import answered, check_rewards, fetched, heeded, unknown
from beholder.serving.context import Context, items_of
from beholder.serving.items import Fault, Item, Picture
from beholder.serving.refusals import (
    DeadlineError,
    MalformedError,
    NotReadyError,
    QueueFullError,
    TooLargeError,
)
from beholder.serving.results import bytes_of
from beholder.serving.room import Room
from beholder.serving.settings import RequestLimits
from tests.serving.clients import context_of, counted
from tests.serving.fakes import FakeBackend, png


def asking(gone: Callable[[], bool] = lambda: False) -> Request:
    """A request whose body was read and whose client goes away when `gone` says so."""

    async def receive() -> Message:
        while not gone():
            await asyncio.sleep(0.001)
        return {"type": "http.disconnect"}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def items(count: int = 1, *rewards: str) -> list[Item]:
    picture = Picture(data=png(51))
    return [Item(picture=picture, prompt=None, rewards=rewards or ("light",))] * count


def test_answers_come_in_order_and_are_counted() -> None:
    context, request = context_of(), asking()
    bad = Item(picture=Fault("url", "no"), prompt=None, rewards=("light",))
    first, second = asyncio.run(answered(request, context, [bad, *items()]))
    assert first.faults == {"light": Fault("url", "no")}
    assert second.scores["light"].total == pytest.approx(0.2)
    assert items_of(request.scope) == 2
    assert counted(context, 'beholder_items_total{reward="light"} 2.0')
    assert counted(context, 'beholder_item_faults_total{code="url",reward="light"} 1.0')


@pytest.mark.parametrize(
    ("context", "asked", "error"),
    [
        (context_of(), [], MalformedError),
        (context_of(), items(1, "light", "heavy"), MalformedError),
        (context_of(limits=RequestLimits(items=2)), items(3), TooLargeError),
        (context_of(FakeBackend(queue=1)), items(2), QueueFullError),
        (context_of(FakeBackend(unready_because="draining")), items(), NotReadyError),
        (context_of(FakeBackend(names=())), items(), NotReadyError),
        (context_of(FakeBackend(seconds=30), timeout=0.01), items(), DeadlineError),
    ],
)
def test_what_cannot_be_answered_is_refused(
    context: Context, asked: list[Item], error: type[BeholderError]
) -> None:
    with pytest.raises(error):
        asyncio.run(answered(asking(), context, asked))


def test_a_client_that_goes_away_takes_its_items_out() -> None:
    backend = FakeBackend(seconds=30)
    with pytest.raises(ClientDisconnect):
        asyncio.run(answered(asking(lambda: bool(backend.asked)), context_of(backend), items(3)))
    assert backend.cancelled == 3


def test_a_cancelled_request_takes_its_items_out() -> None:
    backend = FakeBackend(seconds=30)

    async def stopped() -> None:
        task = asyncio.ensure_future(answered(asking(), context_of(backend), items(3)))
        while not backend.asked:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stopped())
    assert backend.cancelled == 3


def test_work_that_ignores_the_time_is_cancelled_and_its_own_error_comes_out() -> None:
    context = context_of(timeout=0.01)
    with pytest.raises(DeadlineError, match=r"0\.01 seconds"):
        asyncio.run(heeded(asking(), context, asyncio.sleep(30)))

    async def fails() -> None:
        raise MalformedError("my own")

    with pytest.raises(MalformedError, match="my own"):
        asyncio.run(heeded(asking(), context, fails()))


def test_names_of_strangers_are_escaped_and_cut_and_the_served_ones_told() -> None:
    context = context_of(FakeBackend(names=("mps", "hps")))
    assert unknown(context, "a\x1b\nb") == "no reward is served as 'a\\x1b\\nb'; served: mps, hps"
    assert len(unknown(context, "x" * 10_000)) < 120
    with pytest.raises(MalformedError, match="no reward is served as 'clip'"):
        check_rewards(context, {"mps", "clip"})


class Slow:
    """Pictures of ten bytes; `most` is how many were fetched at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def fetch(self, url: str) -> Picture | Fault:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return Picture(data=url.encode().rjust(10))


def test_pictures_are_fetched_a_few_at_a_time_in_order() -> None:
    slow = Slow()
    found = asyncio.run(fetched(context_of(fetch=slow), [str(k) for k in range(40)]))
    assert [int(p.data) for p in found if isinstance(p, Picture)] == list(range(40))
    assert 1 < slow.most <= 8


def test_pictures_of_one_request_are_not_more_bytes_than_a_body() -> None:
    context = context_of(fetch=Slow(), limits=RequestLimits(body=100))
    found = asyncio.run(fetched(context, ["1"] * 100))
    taken = sum(isinstance(p, Picture) for p in found)
    assert 10 <= taken <= 17  # ten, and those that were under way
    assert {p.code for p in found if isinstance(p, Fault)} == {"too-large"}


def test_maps_and_words_of_answers_take_room() -> None:
    room, context = Room(10_000), context_of()

    async def taken(count: int) -> int:
        with room.held(0):
            answers = await answered(asking(), context, items(count))
            assert room.taken == sum(bytes_of(answer) for answer in answers)
            return room.taken

    assert asyncio.run(taken(2)) > 0
    with pytest.raises(TooLargeError):
        asyncio.run(taken(100))
    assert room.taken == 0
