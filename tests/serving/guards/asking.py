"""One request to an ASGI application, and an application that says what it heard."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = Sequence[tuple[bytes, bytes]]
LOCAL: Headers = [(b"host", b"127.0.0.1:8000")]


def scope_of(method: str = "POST", path: str = "/v1/score", headers: Headers = LOCAL) -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": list(headers),
    }


@dataclass
class Reply:
    """What was sent back; `status` is 0 if nothing was."""

    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        return self.messages[0]["status"] if self.messages else 0

    @property
    def headers(self) -> dict[str, str]:
        return {k.decode(): v.decode() for k, v in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.messages[1:])

    @property
    def is_whole(self) -> bool:
        return bool(self.messages) and not self.messages[-1].get("more_body", False)

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"]["code"])


async def ask(app: ASGIApp, scope: Scope, body: Sequence[Message] | bytes = b"") -> Reply:
    """The answer to a request whose body is in one piece, or in messages; then silence."""
    parts = [body_part(body)] if isinstance(body, bytes) else list(body)
    reply = Reply()

    async def receive() -> Message:
        if parts:
            return parts.pop(0)
        return await asyncio.Future()

    async def send(message: Message) -> None:
        await asyncio.sleep(0)
        reply.messages.append(message)

    await app(scope, receive, send)
    return reply


def body_part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


GONE: Message = {"type": "http.disconnect"}


@dataclass
class Echo:
    """Answers with the body that it heard."""

    heard: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        self.heard.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
