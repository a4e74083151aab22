"""Bodies are counted, timed and kept within one room, whatever their header tells."""

import asyncio
from collections.abc import Sequence

import pytest
from starlette.types import Message, Receive, Scope, Send

from beholder.serving.guards.request_bodies import RequestBodies
from beholder.serving.refusals import (
    NotReadyError,
    RefusalError,
    SlowBodyError,
    TooLargeError,
    UnsupportedTypeError,
)
from beholder.serving.room import held_now
from beholder.serving.settings import RequestLimits
from tests.serving.guards.asking import GONE, LOCAL, Echo, Reply, ask, body_part, scope_of

SMALL = RequestLimits(body=10, bodies=25, body_seconds=0.05)


def told(length: int | bytes) -> list[tuple[bytes, bytes]]:
    text = length if isinstance(length, bytes) else str(length).encode()
    return [*LOCAL, (b"content-length", text)]


def sent(body: Sequence[Message] | bytes, headers: Sequence[tuple[bytes, bytes]] = LOCAL) -> Reply:
    return asyncio.run(ask(RequestBodies(Echo(), SMALL), scope_of(headers=headers), body))


def test_a_body_comes_whole_however_it_was_cut() -> None:
    pieces = [body_part(b"abc", more=True), body_part(b"", more=True), body_part(b"defghij")]
    assert sent(pieces).body == b"abcdefghij"
    assert sent(b"").body == b""


def test_a_body_over_the_limit_is_refused_by_its_header_before_a_byte_of_it() -> None:
    with pytest.raises(TooLargeError, match="10 bytes"):
        sent([], told(11))
    with pytest.raises(TooLargeError):
        sent([], told(b"9" * 500))
    assert sent(b"a" * 10, told(10)).body == b"a" * 10


@pytest.mark.parametrize("length", [None, 3, b"x", b"-1"])
def test_and_by_counting_whatever_the_header_tells(length: int | bytes | None) -> None:
    endless = [body_part(b"abcdef", more=True)] * 100
    with pytest.raises(TooLargeError):
        sent(endless, LOCAL if length is None else told(length))


def test_a_body_that_never_comes_is_given_up() -> None:
    with pytest.raises(SlowBodyError, match=r"0\.05 seconds"):
        sent([body_part(b"a", more=True)], told(5))


def test_the_time_is_of_the_whole_body_not_of_each_piece() -> None:
    async def drip() -> Message:
        await asyncio.sleep(0.02)
        return body_part(b"a", more=True)

    async def run() -> None:
        await RequestBodies(Echo(), SMALL)(scope_of(), drip, _nowhere)

    with pytest.raises(SlowBodyError):
        asyncio.run(run())


async def _nowhere(message: Message) -> None:
    raise AssertionError(message)


def test_a_client_that_leaves_is_not_answered() -> None:
    echo = Echo()
    app = RequestBodies(echo, SMALL)
    reply = asyncio.run(ask(app, scope_of(), [body_part(b"a", more=True), GONE]))
    assert (reply.status, echo.heard) == (0, [])


def test_the_application_hears_when_the_client_leaves_later() -> None:
    heard = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        heard.extend([await receive(), await receive()])

    asyncio.run(ask(RequestBodies(app, SMALL), scope_of(), [body_part(b"abc"), GONE]))
    assert heard == [body_part(b"abc"), GONE]


def test_a_compressed_body_is_refused() -> None:
    with pytest.raises(UnsupportedTypeError):
        sent(b"x", [*LOCAL, (b"content-encoding", b"gzip")])
    assert sent(b"x", [*LOCAL, (b"content-encoding", b"identity")]).body == b"x"


class Held:
    """Keeps each request until it is told to let go."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.holding: list[int] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = held_now()
        assert found is not None
        self.holding.append(found.count)
        await self.release.wait()


@pytest.mark.parametrize("is_told", [True, False])
def test_all_bodies_together_have_bounded_room(is_told: bool) -> None:
    async def run() -> None:
        kept = Held()
        app = RequestBodies(kept, SMALL)

        def one(size: int) -> "asyncio.Task[Reply]":
            headers = told(size) if is_told else LOCAL
            return asyncio.create_task(ask(app, scope_of(headers=headers), b"a" * size))

        first, second = one(10), one(10)
        while len(kept.holding) < 2:
            await asyncio.sleep(0)
        with pytest.raises(NotReadyError) as caught:
            await one(6)
        assert caught.value.retry_after is not None
        fits = one(5)
        while len(kept.holding) < 3:
            await asyncio.sleep(0)
        assert kept.holding == [10, 10, 5]
        kept.release.set()
        await asyncio.gather(first, second, fits)
        assert (await one(10)).status == 0  # there is room again

    asyncio.run(run())


def test_who_only_announces_bodies_takes_no_room_from_others() -> None:
    limits = RequestLimits(body=10, bodies=25)

    async def run() -> None:
        echo = Echo()
        app = RequestBodies(echo, limits)
        silent = [
            asyncio.create_task(ask(app, scope_of(headers=told(10)), begun))
            for begun in [[], [], [], [body_part(b"abc", more=True)], []]
        ]
        while app._room.taken < 3:
            await asyncio.sleep(0)
        assert app._room.taken == 3
        assert (await ask(app, scope_of(headers=told(10)), b"a" * 10)).body == b"a" * 10
        for task in silent:
            task.cancel()
        await asyncio.gather(*silent, return_exceptions=True)

    asyncio.run(run())


def test_room_is_free_again_after_every_kind_of_end() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError

    async def run() -> None:
        echo = Echo()
        app = RequestBodies(fails, SMALL)
        for _ in range(10):
            with pytest.raises(ValueError):
                await ask(app, scope_of(), b"a" * 10)
            for body in ([GONE], [body_part(b"a" * 9, more=True), GONE]):
                await ask(app, scope_of(headers=told(10)), body)
            for body in ([body_part(b"a" * 9, more=True)] * 3, [body_part(b"a" * 9, more=True)]):
                with pytest.raises(RefusalError):
                    await ask(app, scope_of(), body)
            task = asyncio.create_task(ask(app, scope_of(headers=told(10)), []))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        app._app = echo
        await ask(app, scope_of(headers=told(10)), b"a" * 10)
        assert app._room.taken == 0

    asyncio.run(run())


def test_a_body_of_tiny_pieces_takes_no_more_room_than_its_bytes() -> None:
    import tracemalloc

    count = 1500

    async def heard(scope: Scope, receive: Receive, send: Send) -> None:
        assert len((await receive())["body"]) == 2 * count

    async def peak() -> int:
        pieces = (body_part(bytes(2), more=k < count) for k in range(1, count + 1))

        async def receive() -> Message:
            return next(pieces)

        app = RequestBodies(heard, RequestLimits())
        tracemalloc.start()
        await app(scope_of(), receive, _nowhere)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert asyncio.run(peak()) < 10 * 2 * count  # a list of pieces would take 40 times the bytes
