"""An id, a line in the log and a count for every request; an answer for what nobody foresaw."""

from __future__ import annotations

import logging
import re
import time
import traceback
import uuid
from pathlib import PurePath

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beholder.serving.context import items_of, set_request_id
from beholder.serving.guards.callers import OPEN
from beholder.serving.guards.farewell import Heard, patiently
from beholder.serving.guards.headers import only_value, with_headers
from beholder.serving.metrics import OTHER, Metrics
from beholder.serving.refusals import RefusalError
from beholder.serving.refused import refused

_LOG = logging.getLogger(__name__)
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET = OPEN | {"/metrics"}
_LEFT = 499
"""The status in log and counts of a request whose client left before its answer."""
_FRAMES = 8


class Watch:
    """The outermost guard.

    The log holds what the server knows, never what a client wrote: ids that are words, methods and
    routes of a known list; no addresses, queries, headers, pictures or prompts.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request_id = _request_id(scope)
        set_request_id(scope, request_id)
        heard, answer = Heard(receive), _Answer(send, request_id)
        try:
            refusal = await self._refusal(scope, heard, answer)
            if refusal is not None and not answer.began:
                self._metrics.rejected(refusal.code)
                say = patiently(answer.send, scope, heard)
                await refused(refusal, request_id)(scope, heard, say)
        finally:
            self._note(scope, request_id, answer.status or _LEFT, time.perf_counter() - began)

    async def _refusal(
        self, scope: Scope, receive: Receive, answer: _Answer
    ) -> RefusalError | None:
        """What to say instead of what the application said; None if it answered.

        After an answer that began and failed nothing can be said: uvicorn breaks the connection.
        """
        try:
            await self._app(scope, receive, answer.of_app)
        except RefusalError as error:
            return error
        except Exception as error:  # noqa: BLE001  (whatever it is, the next request is answered)
            _LOG.error("%s failed: %s", answer.request_id, _where(error))
        else:
            if not answer.failed:
                return None
        return RefusalError("the server failed; its log says where, under the id of this request")

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = str(getattr(scope.get("route"), "path", OTHER))
        self._metrics.answered(route, status, seconds)
        method = scope["method"] if scope["method"] in _METHODS else OTHER
        level = logging.DEBUG if route in _QUIET and status < 400 else logging.INFO
        _LOG.log(
            level,
            "%s %s %s %d, %d items, %.0f ms",
            request_id,
            method,
            route,
            status,
            items_of(scope),
            seconds * 1000,
        )


class _Answer:
    """Sends an answer with the headers that all have.

    A framework answers an exception in words of its own before it lets it through. These are held
    back, for ours to come in their place.
    """

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self.request_id = send, request_id
        self.status = 0
        self.failed = False

    @property
    def began(self) -> bool:
        """Whether anything was sent."""
        return self.status != 0

    async def of_app(self, message: Message) -> None:
        """Send what the application says, but for failures."""
        if message["type"] == "http.response.start":
            self.failed = message["status"] == 500
        if not self.failed:
            await self.send(message)

    async def send(self, message: Message) -> None:
        """Send it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = with_headers(message, self.request_id)
        await self._send(message)


def _request_id(scope: Scope) -> str:
    """The client's, if it is one word of harmless characters; else a new one."""
    told = only_value(scope, b"x-request-id") or b""
    return told.decode("ascii") if _ID.fullmatch(told) else uuid.uuid4().hex


def _where(error: BaseException) -> str:
    """Kind and places of an error, the innermost first; its text may quote a prompt."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = reversed(traceback.extract_tb(error.__traceback__)[-_FRAMES:])
    places = [f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in frames]
    return f"{type(error).__name__} at {' < '.join(places)}"
