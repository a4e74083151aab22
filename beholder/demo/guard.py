"""Who sees the page, and what the page may ask for: nothing outside its own address."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from beholder.serving.guards.callers import Callers
from beholder.serving.refusals import ForbiddenError, RefusalError, UnauthorizedError
from beholder.serving.settings import Access

_POLICY = (
    b"default-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; "
    b"style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    b"connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'self'; base-uri 'self'; "
    b"form-action 'self'"
)
"""Gradio's own scripts stand in its page; those of other hosts are refused."""

_ALWAYS = (
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)

_CLOSED = ("/file=http", "/proxy=", "/deep_link", "/run-history", "/component_server", "/stream/")
"""What Gradio would answer and this page has no use for: other hosts, and states of others."""


class Guard:
    """The page, heard only by whom `serving.guards.callers` lets in, with a policy on each answer.

    Args:
        app: the page.
        access: with a token, browsers ask for it as the password of any name.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._callers = Callers(app, access)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may be heard; answer 401 or 403 to anything else."""
        if scope["type"] == "websocket":  # the page needs none, and nothing checks who asks
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_policy(message: Message) -> None:
            await send(_with_policy(message))

        try:
            _check_open(scope)
            await self._callers(scope, receive, send_with_policy)
        except RefusalError as refusal:
            await _refuse(refusal, send)


def _check_open(scope: Scope) -> None:
    """Raises ForbiddenError for what the page does not offer."""
    asked = f"{scope.get('path', '')}".lower()
    if any(part in asked for part in _CLOSED) or b"deep_link" in scope.get("query_string", b""):
        raise ForbiddenError("this page does not offer that")


def _with_policy(message: Message) -> Message:
    if message["type"] != "http.response.start":
        return message
    return {**message, "headers": [*message.get("headers", ()), *_ALWAYS]}


async def _refuse(refusal: RefusalError, send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_ALWAYS]
    if isinstance(refusal, UnauthorizedError):
        headers.append((b"www-authenticate", b'Basic realm="beholder", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": str(refusal).encode()})
