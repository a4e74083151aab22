"""All guards together, over a real connection: what a client hears and what stays behind."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable

import pytest

from beholder.serving.context import Context
from beholder.serving.fetching import Fetcher
from beholder.serving.guards import guarded
from beholder.serving.metrics import Metrics
from beholder.serving.settings import (
    Access,
    PoolSettings,
    RequestLimits,
    ServeSettings,
    WorkerSettings,
)
from tests.serving.fakes import FakeBackend
from tests.serving.guards.asking import Echo
from tests.serving.listening import Connect, closed, serving

TOKEN = "correct-horse-battery"
LIMITS = RequestLimits(body=100_000, body_seconds=0.3, header_seconds=2)
AUTHORIZED = f"authorization: Bearer {TOKEN}"


def post(*lines: str, body: bytes = b"", path: str = "/v1/score") -> bytes:
    head = "\r\n".join([f"POST {path} HTTP/1.1", "host: localhost", *lines, "", ""])
    return head.encode("latin1") + body


def context(access: Access, limits: RequestLimits = LIMITS) -> Context:
    settings = ServeSettings(
        pool=PoolSettings(workers=(WorkerSettings(rewards={}),)), access=access, limits=limits
    )
    return Context(
        backend=FakeBackend(),
        settings=settings,
        metrics=Metrics(),
        fetch=Fetcher(access, limits),
    )


def run(story: Callable[[Connect], Awaitable[None]], app: Echo, access: Access) -> None:
    async def told() -> None:
        async with (
            serving(guarded(app, context(access)), LIMITS) as (connect, _),
            asyncio.timeout(20),
        ):
            await story(connect)

    asyncio.run(told())


def answers(sent: bytes, access: Access = Access(token=TOKEN)) -> tuple[bytes, list[bytes]]:  # noqa: B008
    """All that a client hears that sends this, and the bodies that the application heard."""
    echo, heard = Echo(), []

    async def story(connect: Connect) -> None:
        reader, writer = await connect()
        writer.write(sent)
        await writer.drain()
        heard.append(await reader.read())
        await closed(writer)

    run(story, echo, access)
    return heard[0], echo.heard


def test_a_request_with_the_token_is_answered() -> None:
    answer, heard = answers(post(AUTHORIZED, "content-length: 3", "connection: close", body=b"abc"))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"abc") == 1
    assert b"x-request-id: " in answer
    assert heard == [b"abc"]


def test_label_studio_gives_the_token_as_a_password() -> None:
    word = base64.b64encode(f"beholder:{TOKEN}".encode()).decode()
    answer, heard = answers(
        post(f"authorization: Basic {word}", "content-length: 3", "connection: close", body=b"abc")
    )
    assert answer.startswith(b"HTTP/1.1 200")
    assert heard == [b"abc"]


@pytest.mark.parametrize(
    ("lines", "body", "status"),
    [
        (["content-length: 90000"], b"a" * 90_000, b"401"),
        (["content-length: 90000"], b"a", b"401"),
        (["transfer-encoding: chunked"], b"5\r\nabcde\r\n", b"401"),
        ([AUTHORIZED, "content-length: 900000000000"], b"a" * 200_000, b"413"),
        (
            [AUTHORIZED, "transfer-encoding: chunked"],
            b"FFFF\r\n" + b"a" * 65_535 + b"\r\n",
            b"408",
        ),
        ([AUTHORIZED, "transfer-encoding: chunked"], b"F0000\r\n" + b"a" * 200_000, b"413"),
        ([AUTHORIZED, "content-length: 50"], b"a", b"408"),
        ([AUTHORIZED, "content-length: 1", "content-encoding: gzip"], b"a", b"415"),
        ([AUTHORIZED, "content-length: 1", "origin: https://evil.example"], b"a", b"403"),
    ],
)
def test_a_client_hears_why_it_is_refused_even_while_it_sends(
    lines: list[str], body: bytes, status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beholder.serving.guards import farewell

    monkeypatch.setattr(farewell, "_SECONDS", 0.2)
    answer, heard = answers(post(*lines, body=body))
    assert answer[9:12] == status
    assert b'"request_id"' in answer
    assert b"connection: close" in answer
    assert not heard
    assert (b"www-authenticate: bearer" in answer.lower()) == (status == b"401")


def test_a_body_that_is_awaited_with_100_continue_is_not_asked_for_in_vain() -> None:
    lines = ("content-length: 90000", "expect: 100-continue", "connection: close")
    answer, _ = answers(post(*lines))
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"100 Continue" not in answer


def test_a_name_bound_anew_is_refused_where_there_is_no_token() -> None:
    sent = post("connection: close").replace(b"localhost", b"evil.example")
    answer, heard = answers(sent, Access())
    assert answer[9:12] == b"403"
    assert not heard


def test_half_a_body_and_gone_leaves_nothing() -> None:
    echo = Echo()
    held = []

    async def story(connect: Connect) -> None:
        for _ in range(5):
            _, writer = await connect()
            writer.write(post(AUTHORIZED, "content-length: 90000", body=b"a" * 40_000))
            await writer.drain()
            await closed(writer)
        reader, writer = await connect()
        writer.write(post(AUTHORIZED, "content-length: 1", "connection: close", body=b"b"))
        held.append(await reader.read())
        await closed(writer)

    run(story, echo, Access(token=TOKEN))
    assert echo.heard == [b"b"]
    assert held[0].startswith(b"HTTP/1.1 200")


def test_what_a_client_writes_is_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    said = "secret\x1b[31m"
    sent = [
        post(
            AUTHORIZED, f"x-request-id: {said}", "connection: close", path="/secret?prompt=secret"
        ),
        post(
            "authorization: Bearer secret-secret-secret", "connection: close", path="/%0d%0asecret"
        ),
        post(
            AUTHORIZED,
            f"user-agent: {said}",
            "content-length: 6",
            "connection: close",
            body=b"secret",
        ),
        b"secret / HTTP/1.1\r\n\r\n",
        b"GET /secret SECRET/1.1\r\n\r\n",
    ]
    with caplog.at_level(logging.DEBUG):
        for one in sent:
            answers(one)
    written = [r.getMessage() for r in caplog.records if not r.name.startswith("asyncio")]
    assert len([line for line in written if " 200, " in line or " 401, " in line]) == 3
    for line in written:
        assert "secret" not in line.lower()
        assert line.isprintable()
