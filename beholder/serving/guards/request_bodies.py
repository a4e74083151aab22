"""Whole bodies of bounded size, in bounded time and in bounded memory of them all."""

from __future__ import annotations

import asyncio
import io

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beholder.serving.guards.headers import values
from beholder.serving.refusals import SlowBodyError, TooLargeError, UnsupportedTypeError
from beholder.serving.room import Held, Room
from beholder.serving.settings import RequestLimits


class RequestBodies:
    """Reads a body before the application runs; what it holds is let go when the answer is given.

    A length that is told is believed only as far as it refuses: room is taken by bytes that came,
    so that who only announces a body takes none from others.
    """

    def __init__(self, app: ASGIApp, limits: RequestLimits) -> None:
        self._app, self._limits = app, limits
        self._room = Room(limits.bodies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on the request with its body as one piece, unless the client left meanwhile.

        Raises TooLargeError, SlowBodyError, UnsupportedTypeError; NotReadyError for want of room.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._room.held(self._limits.body) as held:
            body = await self._read(scope, receive, held)
            if body is not None:
                await self._app(scope, _Replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive, held: Held) -> bytes | None:
        """The body; None if the client left."""
        self._check(scope)
        declared = _length(scope)
        self._check_size(declared)
        held.expect(declared)
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await self._collected(receive, held)
        except TimeoutError as error:
            raise SlowBodyError(
                f"the body did not come within {self._limits.body_seconds:g} seconds"
            ) from error

    def _check(self, scope: Scope) -> None:
        encodings = values(scope, b"content-encoding")
        if any(encoding.strip().lower() != b"identity" for encoding in encodings):
            raise UnsupportedTypeError("a compressed body; send it without Content-Encoding")

    def _check_size(self, size: int) -> None:
        if size > self._limits.body:
            raise TooLargeError(
                f"a body may have {self._limits.body:,} bytes; send the items in several requests"
            )

    async def _collected(self, receive: Receive, held: Held) -> bytes | None:
        body = (
            io.BytesIO()
        )  # a list of a million chunks of one byte would take fifty times the room
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body.write(message.get("body", b""))
            size = body.tell()
            self._check_size(size)
            held.take(max(0, size - held.count))
            if not message.get("more_body", False):
                return body.getvalue()


def _length(scope: Scope) -> int:
    """Of the body, as the header tells it; 0 if it does not."""
    told = values(scope, b"content-length")
    return max((int(text[:20]) for text in told if text.isdigit()), default=0)


class _Replay:
    """The body at once, then whatever the connection says: that the client left."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}
