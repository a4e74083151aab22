"""A real uvicorn on loopback, and clients that do not do their part."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from beholder.serving import protocol_guard
from beholder.serving.settings import RequestLimits
from tests.serving.listening import Connect, closed, serving, until

GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
BIG = 40 * 2**20
"""More than the buffers of both ends hold."""


class App:
    """Answers small at /, big at /big, and at /whole as one piece; `open` are in its hands."""

    def __init__(self) -> None:
        self.open = 0
        self.release = asyncio.Event()
        self.release.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.open += 1
        try:
            await self.release.wait()
            pieces = {"/big": [b"a" * BIG] * 2, "/whole": [b"a" * BIG]}.get(
                scope["path"], [b"ok", b"ok"]
            )
            length = str(sum(map(len, pieces))).encode()
            headers = [(b"content-length", length)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for k, body in enumerate(pieces, 1):
                more = k < len(pieces)
                await send({"type": "http.response.body", "body": body, "more_body": more})
        finally:
            self.open -= 1


def run(
    story: Callable[[App, Connect, uvicorn.Server], Awaitable[None]],
    limits: RequestLimits,
    keep_alive: int = 5,
) -> None:
    async def told() -> None:
        app = App()
        async with serving(app, limits, keep_alive) as (connect, server):
            async with asyncio.timeout(20):
                await story(app, connect, server)

    asyncio.run(told())


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", b""),
        (b"GET / HT", b"408"),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\nx-slow:", b"408"),
    ],
)
def test_a_header_that_does_not_come_in_time_ends_the_connection(sent: bytes, said: bytes) -> None:
    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        reader, writer = await connect()
        writer.write(sent)
        answer = await reader.read()
        assert answer[9:12] == said
        await until(lambda: not server.server_state.connections)
        await closed(writer)

    run(story, RequestLimits(header_seconds=0.3))


def test_drops_of_a_header_do_not_lengthen_its_time() -> None:
    """Drops without end; `run` gives up on a server that does not."""

    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        _, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n")
        await until(lambda: bool(server.server_state.connections))
        while server.server_state.connections:
            writer.write(b"x: y\r\n")
            await asyncio.sleep(0.01)
        assert not server.server_state.total_requests
        await closed(writer)

    run(story, RequestLimits(header_seconds=0.3))


def test_the_second_request_of_a_connection_has_no_more_time_than_the_first() -> None:
    """The keep-alive timer of uvicorn stops at the first byte that comes."""

    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        reader, writer = await connect()
        writer.write(GET)
        assert (await reader.readuntil(b"okok")).startswith(b"HTTP/1.1 200")
        writer.write(b"GET / HTT")
        assert b"408" in await reader.read()
        await closed(writer)

    run(story, RequestLimits(header_seconds=0.3))


def test_a_request_in_hand_is_not_hurried_and_a_connection_serves_several() -> None:
    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        reader, writer = await connect()
        for _ in range(3):
            app.release.clear()
            writer.write(GET)
            await until(lambda: app.open == 1)
            assert [c._header for c in server.server_state.connections] == [None]  # type: ignore[union-attr]
            app.release.set()
            await reader.readuntil(b"okok")
        writer.write(GET + GET)
        await reader.readuntil(b"okok")
        await reader.readuntil(b"okok")
        await closed(writer)

    run(story, RequestLimits())


def test_more_connections_than_the_limit_are_turned_away_and_others_go_on() -> None:
    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        kept = [await connect() for _ in range(2)]
        await until(lambda: len(server.server_state.connections) == 2)
        reader, writer = await connect()
        writer.write(GET)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in answer
        await closed(writer)
        assert len(server.server_state.connections) == 2
        for reader, writer in kept:
            writer.write(GET)
            await reader.readuntil(b"okok")
        await closed(kept[0][1])
        await until(lambda: len(server.server_state.connections) == 1)
        reader, writer = await connect()
        writer.write(GET)
        assert b" 200 " in await reader.readuntil(b"okok")
        await closed(writer)
        await closed(kept[1][1])

    run(story, RequestLimits(connections=2))


def test_a_connection_that_was_idle_for_long_goes_for_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol_guard, "_MAY_GO_SECONDS", 0.05)

    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        (idle, first), (busy, second) = await connect(), await connect()
        for reader, writer in ((idle, first), (busy, second)):
            writer.write(GET)
            await reader.readuntil(b"okok")
        await asyncio.sleep(0.06)
        app.release.clear()
        second.write(GET)
        await until(lambda: app.open == 1)
        newer, third = await connect()
        assert await idle.read() == b""
        turned_away, fourth = await connect()
        assert (await turned_away.read()).startswith(b"HTTP/1.1 503")
        third.write(GET)
        app.release.set()
        for reader in (busy, newer):
            assert b" 200 " in await reader.readuntil(b"okok")
        for writer in (first, second, third, fourth):
            await closed(writer)

    run(story, RequestLimits(connections=2))


def test_a_connection_that_began_a_header_stays_and_none_is_let_in_beyond_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol_guard, "_MAY_GO_SECONDS", 0.0)

    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        kept = [await connect() for _ in range(2)]
        for reader, writer in kept:
            writer.write(GET)
            await reader.readuntil(b"okok")
            writer.write(GET[:1])
        open_now = server.server_state.connections
        await until(lambda: all(c.conn.trailing_data[0] for c in open_now))  # type: ignore[union-attr]
        for _ in range(5):
            reader, writer = await connect()
            assert (await reader.read()).startswith(b"HTTP/1.1 503")
            await closed(writer)
            assert len(open_now) == 2
        for reader, writer in kept:
            writer.write(GET[1:])
            assert b" 200 " in await reader.readuntil(b"okok")
            await closed(writer)

    run(story, RequestLimits(connections=2))


def test_connections_that_come_at_once_let_go_one_idle_one_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol_guard, "_MAY_GO_SECONDS", 0.0)

    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        old = [await connect() for _ in range(2)]
        for reader, writer in old:
            writer.write(GET)
            await reader.readuntil(b"okok")
        new = await asyncio.gather(*(connect() for _ in range(6)))
        said = await asyncio.gather(*(reader.read() for reader, _ in old))
        assert said == [b"", b""]
        await until(lambda: len(server.server_state.connections) == 2)
        for _, writer in (*old, *new):
            await closed(writer)

    run(story, RequestLimits(connections=2))


@pytest.mark.parametrize(
    ("looks", "goes_on"),
    [
        ([(29.0, 10**6)], True),  # not a byte, but there is time to begin
        ([(30.0, 10**6)], False),
        ([(20.0, 10**6), (20.0, 10**6 - 10 * 2**14 - 1)], True),  # earned ten, and a little
        ([(20.0, 10**6), (20.0, 10**6 - 10 * 2**14)], False),
        ([(1.0, 0), (29.0, 0)], True),
        ([(1.0, 0), (30.0, 0)], False),  # a million bytes at once earn no more than 30
    ],
)
def test_an_answer_must_be_read_at_16_kib_a_second(
    looks: list[tuple[float, int]], goes_on: bool
) -> None:
    pace = protocol_guard.Pace(30.0)
    pace.wait(10**6)
    assert [pace.waited(*look) for look in looks][-1] is goes_on


def test_what_is_written_meanwhile_is_not_taken_for_read() -> None:
    pace = protocol_guard.Pace(2.0)
    assert pace.waited(0.5, 0)
    pace.wait(20_000)
    assert pace.waited(0.5, 20_000)
    assert not pace.waited(1.0, 20_000)


@pytest.mark.parametrize("path", [b"/big", b"/whole"])
@pytest.mark.parametrize("keep_alive", [0, 5])
def test_a_client_that_never_reads_its_answer_is_cut_off(path: bytes, keep_alive: int) -> None:
    """Else its answer, and whatever the application holds for it, would stay for ever."""

    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        _, writer = await connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET.replace(b"/", path, 1))
        await until(lambda: server.server_state.total_requests + app.open > 0)
        await until(lambda: app.open == 0)
        await until(lambda: not server.server_state.connections)
        await closed(writer)

    run(story, RequestLimits(body_seconds=0.1), keep_alive)


def test_a_client_that_reads_slowly_but_steadily_gets_all() -> None:
    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        reader, writer = await connect()
        writer.write(GET.replace(b"GET /", b"GET /big"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head
        count = 0
        for _ in range(10):
            count += len(await reader.readexactly(BIG // 5))
            await asyncio.sleep(0.03)
        assert count == 2 * BIG
        await closed(writer)

    run(story, RequestLimits(body_seconds=0.1), keep_alive=1)


def test_garbage_and_a_huge_header_are_refused() -> None:
    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        for sent in (b"\x16\x03\x01\x02\x00\r\n\r\n", GET[:-2] + b"x: " + b"a" * 100_000):
            reader, writer = await connect()
            writer.write(sent)
            assert (await reader.read()).startswith(b"HTTP/1.1 400")
            await until(lambda: not server.server_state.connections)
            await closed(writer)

    run(story, RequestLimits())


def test_a_server_that_ends_does_not_wait_for_who_reads_nothing() -> None:
    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        _, writer = await connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET.replace(b"GET /", b"GET /big"))
        await until(lambda: app.open == 1)
        server.should_exit = True
        await until(lambda: not server.server_state.connections)
        await closed(writer)

    run(story, RequestLimits(body_seconds=0.1))


def test_a_server_that_ends_says_so_with_the_answer_that_is_due() -> None:
    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        app.release.clear()
        reader, writer = await connect()
        writer.write(GET)
        await until(lambda: app.open == 1)
        server.should_exit = True
        await until(lambda: all(c._is_ending for c in server.server_state.connections))  # type: ignore[union-attr]
        app.release.set()
        answer = await reader.read()
        assert b"connection: close" in answer.lower()
        assert answer.endswith(b"okok")
        await closed(writer)

    run(story, RequestLimits())


def test_a_request_that_was_on_its_way_when_the_server_ended_is_answered() -> None:
    """uvicorn alone would reset the connection, and the request would be lost."""

    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        reader, writer = await connect()
        writer.write(GET)
        await reader.readuntil(b"okok")
        server.should_exit = True
        await until(lambda: all(c._is_ending for c in server.server_state.connections))  # type: ignore[union-attr]
        writer.write(GET)
        answer = await reader.read()
        assert b"connection: close" in answer.lower()
        assert answer.endswith(b"okok")
        await closed(writer)

    run(story, RequestLimits())


def test_an_idle_connection_ends_a_moment_after_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol_guard, "_GRACE_SECONDS", 0.05)

    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        reader, writer = await connect()
        writer.write(GET)
        await reader.readuntil(b"okok")
        server.should_exit = True
        assert await reader.read() == b""
        await closed(writer)

    run(story, RequestLimits())


def test_a_connection_may_be_idle_for_longer_than_a_header_may_take() -> None:
    async def story(app: App, connect: Connect, server: uvicorn.Server) -> None:
        reader, writer = await connect()
        for _ in range(2):
            writer.write(GET)
            await reader.readuntil(b"okok")
            assert [c._header for c in server.server_state.connections] == [None]  # type: ignore[union-attr]
        await closed(writer)

    run(story, RequestLimits())
