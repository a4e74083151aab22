import asyncio
import base64

import pytest
from starlette.types import Message, Receive, Scope, Send

from beholder.demo.guard import Guard
from beholder.serving.settings import Access

TOKEN = "a-token-of-enough-letters"
LOCAL = Access(host="127.0.0.1", port=7860)
Headers = dict[str, str]


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the page"})


def asked(
    access: Access, headers: Headers, kind: str = "http", path: str = "/", query: bytes = b""
) -> list[Message]:
    """What the guarded page sends to one who asks with these headers."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope: Scope = {"type": kind, "method": "GET", "path": path, "headers": pairs}
    scope["query_string"] = query
    asyncio.run(Guard(page, access)(scope, receive, send))
    return sent


def status(access: Access, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return int(asked(access, named)[0]["status"])


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"host": "127.0.0.1:7860"}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "rebound.example.org"}, 403),
        ({"host": "localhost", "sec_fetch_site": "cross-site"}, 403),
        ({"host": "localhost", "origin": "http://other.example.org"}, 403),
        ({}, 403),
    ],
)
def test_without_a_token_this_machine_alone_is_heard(headers: Headers, expected: int) -> None:
    assert status(LOCAL, **headers) == expected


def test_with_a_token_browsers_are_asked_for_it_as_a_password() -> None:
    access = Access(host="0.0.0.0", port=7860, token=TOKEN)
    start, body = asked(access, {"host": "demo.example.org"})
    assert start["status"] == 401
    assert dict(start["headers"])[b"www-authenticate"].startswith(b"Basic ")
    assert TOKEN.encode() not in body["body"]
    basic = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
    assert status(access, host="demo.example.org", authorization=f"Basic {basic}") == 200


def test_every_answer_forbids_what_is_of_other_hosts() -> None:
    for headers in ({"host": "localhost"}, {"host": "other.example.org"}):
        policy = dict(asked(LOCAL, headers)[0]["headers"])[b"content-security-policy"]
        assert policy.startswith(b"default-src 'self'; ")
        assert b"http" not in policy
        assert b"*" not in policy


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/gradio_api/file=http://pictures.example.org/a.png", b""),
        ("/gradio_api/file=HTTPS://pictures.example.org/a.png", b""),
        ("/gradio_api/proxy=https://pictures.example.org/a.png", b""),
        ("/gradio_api/deep_link", b"session_hash=a"),
        ("/", b"deep_link=../a"),
        ("/gradio_api/component_server", b""),
    ],
)
def test_other_hosts_and_states_are_not_asked_for_through_the_page(path: str, query: bytes) -> None:
    assert asked(LOCAL, {"host": "localhost"}, path=path, query=query)[0]["status"] == 403
    upload = "/gradio_api/file=/kept/uploads/a.png"
    assert asked(LOCAL, {"host": "localhost"}, path=upload)[0]["status"] == 200


def test_no_websocket_is_opened() -> None:
    (closed,) = asked(LOCAL, {"host": "localhost"}, kind="websocket")
    assert closed["type"] == "websocket.close"
