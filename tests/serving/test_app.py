"""Routes as a whole: one shape of refusal, whatever the method and the address."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message, Scope

from beholder.serving.app import create_app
from tests.serving.clients import TOKEN, client_of, context_of, file
from tests.serving.fakes import FakeBackend

MARKS = (".com", "googleapis", "jsdelivr", "unpkg")


@pytest.fixture(scope="module")
def client() -> TestClient:
    return client_of(context_of())


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1", "/v1/score/", "/v1/rewards/", "/../etc/passwd"]
)
def test_where_nothing_is_that_is_said(client: TestClient, path: str) -> None:
    response = client.get(path, follow_redirects=False)
    assert response.status_code == 404
    assert response.json()["error"]["code"] in ("not-found", "unknown-reward")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/score", "POST"),
        ("OPTIONS", "/v1/score", "POST"),
        ("PUT", "/v1/rewards", "GET, HEAD"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("TRACE", "/predict", "POST"),
        ("POST", "/v1/rewards/light", "GET, HEAD"),
        ("BREW", "/metrics", "GET, HEAD"),
    ],
)
def test_a_method_that_an_address_does_not_take_is_told_those_it_takes(
    client: TestClient, method: str, path: str, allowed: str
) -> None:
    response = client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
    document = response.json()
    assert document["error"] == {
        "code": "method-not-allowed",
        "message": f"this address takes {allowed}",
    }
    assert re.fullmatch("[0-9a-f]{32}", document["request_id"])


def scope_of(method: str, path: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> Scope:
    scope = {"type": "http", "method": method, "path": path, "query_string": b""}
    return {**scope, "headers": list(headers)}


@pytest.mark.parametrize("path", ["/healthz", "/v1/rewards", "/docs", "/nothing", "/v1/score"])
def test_heads_are_those_of_get_without_a_body(client: TestClient, path: str) -> None:
    whole, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]


def test_a_head_is_a_head_again_for_the_log() -> None:
    async def asked() -> tuple[str, Any]:
        scope = scope_of("HEAD", "/healthz")

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            pass

        await create_app(context_of())(scope, receive, send)
        return scope["method"], scope["route"]

    method, route = asyncio.run(asked())
    assert (method, route.path) == ("HEAD", "/healthz")


def test_who_leaves_is_not_answered_with_an_error() -> None:
    backend = FakeBackend(seconds=30)
    body = f'{{"items": [{{"image": "{file()}"}}]}}'.encode()
    sent: list[Message] = []

    async def asked() -> None:
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            while not messages and not backend.asked:
                await asyncio.sleep(0.001)
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"content-type", b"application/json")]
        scope = scope_of("POST", "/v1/score", headers)
        await create_app(context_of(backend))(scope, receive, send)

    asyncio.run(asked())
    assert backend.cancelled == 1
    assert [message.get("status") for message in sent] == [499, None]


def test_our_addresses_are_not_taken_for_rewards_of_other_protocols(client: TestClient) -> None:
    assert client.post("/v1/score", json={}).json()["error"]["message"] == "items: is missing"
    assert "rewards" in client.get("/v1/rewards").json()


def test_the_document_names_no_foreign_place_and_asks_for_a_token_where_one_is_needed(
    client: TestClient,
) -> None:
    document = client.get("/openapi.json")
    assert not any(mark in document.text for mark in MARKS)
    assert "security" not in document.json()
    secured = client_of(context_of(token=TOKEN)).get("/openapi.json").json()
    assert secured["security"] == [{"bearer": []}, {"basic": []}]
    open_to_all = [
        p for p, of in secured["paths"].items() if of.get("get", {}).get("security") == []
    ]
    assert open_to_all == ["/healthz", "/readyz"]
    assert TOKEN not in str(secured)
