"""Refusing a request whose body is still on its way, so that the client hears it.

A connection that is closed with bytes unread is reset, and the reset may overtake the answer (RFC
9112, 9.6). So the answer is given at once, then for a moment what still comes is thrown away.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import Message, Receive, Scope, Send

from beholder.serving.guards.headers import has_body, values

_SECONDS = 2.0


class Heard:
    """What comes from the client.

    Attributes:
        ended: whether the body is complete, or the client left.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def __call__(self) -> Message:
        """The next message."""
        message = await self._receive()
        self.ended = not message.get("more_body", False)
        return message


def patiently(send: Send, scope: Scope, heard: Heard) -> Send:
    """Sends an answer, and where a body is still to come, closes the connection a moment later."""
    if heard.ended or not has_body(scope):
        return send
    is_coming = not values(scope, b"expect")  # else the client asked whether it should send it
    return _Closing(send, heard, is_coming=is_coming)


class _Closing:
    def __init__(self, send: Send, heard: Heard, *, is_coming: bool) -> None:
        self._send, self._heard, self._is_coming = send, heard, is_coming

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            await self._send({**message, "headers": headers})
        elif message.get("more_body", False) or not self._is_coming:
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            await self._throw_away()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _throw_away(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS):
                while not self._heard.ended:
                    await self._heard()
