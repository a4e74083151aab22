"""Every request has an id, a line and a count; nothing that a client wrote gets into the log."""

import asyncio
import json
import logging
import re

import pytest
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beholder.serving.context import request_id, set_items
from beholder.serving.guards.watch import Watch
from beholder.serving.metrics import Metrics
from beholder.serving.refusals import QueueFullError, TooLargeError
from tests.serving.guards.asking import GONE, LOCAL, Echo, Headers, Reply, ask, body_part, scope_of
from tests.serving.test_metrics import value

SECRET = "a prompt that nobody may see"


def watched(
    app: ASGIApp, headers: Headers = LOCAL, *, path: str = "/v1/score", body: bytes = b"{}"
) -> Reply:
    return asyncio.run(ask(Watch(app, Metrics()), scope_of(headers=headers, path=path), body))


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError(SECRET)


async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise ValueError(SECRET)


async def fails_in_a_group(scope: Scope, receive: Receive, send: Send) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fails(scope, receive, send))


async def is_full(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    raise QueueFullError("full", retry_after=0.2)


@pytest.mark.parametrize("told", ["a", "req-1.2_3", "x" * 64])
def test_an_id_of_the_client_is_kept(told: str) -> None:
    assert (
        watched(Echo(), [*LOCAL, (b"x-request-id", told.encode())]).headers["x-request-id"] == told
    )


@pytest.mark.parametrize(
    "told",
    [b"", b"x" * 65, b"a b", b"a\x1b[31m", b"a\r\nb", b"\xff", b"caf\xc3\xa9", b"a/b", b"a\n"],
)
def test_an_id_that_could_do_harm_is_replaced(told: bytes) -> None:
    found = watched(Echo(), [*LOCAL, (b"x-request-id", told)]).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", found)


def test_two_ids_are_none() -> None:
    headers = [*LOCAL, (b"x-request-id", b"a"), (b"x-request-id", b"b")]
    assert len(watched(Echo(), headers).headers["x-request-id"]) == 32


def test_the_application_knows_the_id() -> None:
    found = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(request_id(scope))
        await Echo()(scope, receive, send)

    reply = watched(app)
    assert found == [reply.headers["x-request-id"]]


@pytest.mark.parametrize("app", [fails, fails_in_a_group])
def test_what_nobody_foresaw_is_an_answer_with_the_id_and_a_line_without_values(
    app: ASGIApp, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        reply = watched(app)
    assert (reply.status, reply.code) == (500, "internal")
    assert json.loads(reply.body)["request_id"] == reply.headers["x-request-id"]
    assert "Traceback" not in reply.body.decode()
    assert re.search(r"failed: ValueError at test_watch\.py:\d+", caplog.text)
    for said in (caplog.text, reply.body.decode()):
        assert SECRET not in said


def test_a_framework_s_own_words_for_a_failure_are_replaced() -> None:
    app = FastAPI()

    @app.post("/v1/score")
    async def score() -> None:
        raise ValueError(SECRET)

    reply = watched(app)
    assert (reply.status, reply.code) == (500, "internal")
    assert [m["type"] for m in reply.messages].count("http.response.start") == 1


def test_an_answer_that_began_is_left_unfinished() -> None:
    reply = watched(fails_late)
    assert (reply.status, reply.body, reply.is_whole) == (200, b"half", False)


def test_a_refusal_is_answered_and_counted() -> None:
    metrics = Metrics()
    reply = asyncio.run(ask(Watch(is_full, metrics), scope_of()))
    assert (reply.status, reply.code) == (429, "queue-full")
    assert reply.headers["retry-after"] == "1"
    assert value(metrics, "beholder_http_rejections_total", code="queue-full") == 1
    assert value(metrics, "beholder_http_requests_total", route="other", status="429") == 1


def test_a_refusal_before_the_body_was_read_closes_the_connection() -> None:
    async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
        raise TooLargeError("x")

    headers = [*LOCAL, (b"content-length", b"2")]
    reply = watched(refuses, headers)
    assert reply.headers["connection"] == "close"
    assert "connection" not in watched(is_full, headers).headers


def routed() -> FastAPI:
    app = FastAPI()

    @app.post("/v1/rewards/{name}")
    async def reward(name: str, request: Request) -> str:
        set_items(request.scope, 3)
        return name

    return app


def test_one_line_a_request_tells_what_the_server_knows(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    headers = [*LOCAL, (b"x-request-id", b"abc"), (b"user-agent", SECRET.encode())]
    scope = scope_of(headers=headers, path="/v1/rewards/secret\nforged line")
    scope.update(query_string=SECRET.encode(), raw_path=b"/")
    with caplog.at_level(logging.INFO, "beholder"):
        reply = asyncio.run(ask(Watch(routed(), metrics), scope))
    assert reply.status == 200
    (line,) = [r.getMessage() for r in caplog.records if r.name.startswith("beholder")]
    assert re.fullmatch(r"abc POST /v1/rewards/\{name\} 200, 3 items, \d+ ms", line)
    assert (
        value(metrics, "beholder_http_requests_total", route="/v1/rewards/{name}", status="200")
        == 1
    )


def test_a_path_and_a_method_that_nobody_knows_are_not_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scope = scope_of(method="HACK", path="/evil\x1b[31m")
    with caplog.at_level(logging.INFO, "beholder"):
        asyncio.run(ask(Watch(routed(), Metrics()), scope))
    assert re.fullmatch(r"[0-9a-f]{32} other other 404, 0 items, \d+ ms", caplog.messages[-1])


def test_a_client_that_left_is_noted_as_such(caplog: pytest.LogCaptureFixture) -> None:
    async def leaves(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == GONE

    metrics = Metrics()
    with caplog.at_level(logging.INFO, "beholder"):
        asyncio.run(ask(Watch(leaves, metrics), scope_of(), [GONE]))
    assert " other 499, " in caplog.text
    assert value(metrics, "beholder_http_requests_total", route="other", status="499") == 1


def test_a_request_that_is_cancelled_is_noted_and_goes_on_being_cancelled() -> None:
    metrics = Metrics()

    async def run() -> None:
        task = asyncio.create_task(ask(Watch(Echo(), metrics), scope_of(), []))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert value(metrics, "beholder_http_requests_total", route="other", status="499") == 1


def test_probes_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()

    @app.get("/healthz")
    async def healthz() -> str:
        return "alive"

    scope = scope_of("GET", "/healthz")
    with caplog.at_level(logging.INFO, "beholder"):
        assert asyncio.run(ask(Watch(app, Metrics()), scope)).status == 200
    assert not [r for r in caplog.records if r.name.startswith("beholder")]


def test_a_web_socket_is_closed() -> None:
    reply = asyncio.run(ask(Watch(Echo(), Metrics()), {"type": "websocket"}, [body_part(b"")]))
    assert reply.messages == [{"type": "websocket.close", "code": 1008}]


def test_the_life_of_the_application_passes() -> None:
    heard = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        heard.append(scope["type"])

    async def silent() -> Message:
        return {}

    async def send(message: Message) -> None:
        pass

    asyncio.run(Watch(app, Metrics())({"type": "lifespan"}, silent, send))
    assert heard == ["lifespan"]
