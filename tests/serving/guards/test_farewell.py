"""A client that still sends hears why it is refused, and cannot send for ever."""

import asyncio

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message

from beholder.serving.guards import farewell
from beholder.serving.guards.farewell import Heard, patiently
from tests.serving.guards.asking import GONE, LOCAL, Reply, body_part, scope_of

CHUNKED = [*LOCAL, (b"transfer-encoding", b"chunked")]


async def refused(messages: list[Message], headers: list[tuple[bytes, bytes]]) -> tuple[Reply, int]:
    """The answer, and how many messages of the client were left unread."""
    reply = Reply()

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        return await asyncio.Future()

    async def send(message: Message) -> None:
        reply.messages.append(message)

    scope, heard = scope_of(headers=headers), Heard(receive)
    answer = PlainTextResponse("no", 413)
    await answer(scope, heard, patiently(send, scope, heard))
    return reply, len(messages)


def test_what_still_comes_is_thrown_away_and_then_the_connection_closes() -> None:
    coming = [body_part(b"a", more=True), body_part(b"b", more=True), body_part(b"c")]
    reply, left = asyncio.run(refused(coming, CHUNKED))
    assert (reply.status, reply.body, left) == (413, b"no", 0)
    assert reply.headers["connection"] == "close"
    assert [m.get("more_body") for m in reply.messages[1:]] == [True, False]


def test_a_client_that_leaves_ends_it() -> None:
    reply, left = asyncio.run(refused([GONE, body_part(b"a")], CHUNKED))
    assert (reply.is_whole, left) == (True, 1)


def test_a_client_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "_SECONDS", 0.01)
    reply, _ = asyncio.run(refused([body_part(b"a", more=True)], CHUNKED))
    assert reply.is_whole


@pytest.mark.parametrize("headers", [LOCAL, [*LOCAL, (b"content-length", b"0")]])
def test_a_request_without_a_body_keeps_its_connection(headers: list[tuple[bytes, bytes]]) -> None:
    reply, _ = asyncio.run(refused([], list(headers)))
    assert "connection" not in reply.headers
    assert reply.is_whole


def test_a_body_that_was_read_keeps_its_connection() -> None:
    async def run() -> None:
        async def receive() -> Message:
            return body_part(b"all")

        async def send(message: Message) -> None:
            pass

        heard = Heard(receive)
        await heard()
        assert heard.ended
        assert patiently(send, scope_of(headers=CHUNKED), heard) is send

    asyncio.run(run())
