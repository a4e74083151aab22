"""All routes as one application; what guards it from strangers is around it, in `guards`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

import beholder
from beholder.serving import docs_page, flow_factory, health, label_studio, unirl, v1
from beholder.serving.context import Context, request_id
from beholder.serving.describing import tidied
from beholder.serving.refusals import RefusalError
from beholder.serving.refused import refusal, refused

_SUMMARY = "Human-preference rewards of generated pictures over HTTP."
_GONE = 499  # as nginx counts clients that did not wait


def create_app(context: Context) -> FastAPI:
    """The application; what it refuses, it refuses in the shape of `refused`."""
    app = _App(
        title="beholder",
        version=beholder.__version__,
        summary=_SUMMARY,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.secured = bool(context.settings.access.token)
    # ours first: some addresses of the other protocols begin with the name of any reward
    for room in (v1, health, docs_page, unirl, flow_factory, label_studio):
        app.include_router(room.router(context))
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(RefusalError, _refusing(context))
    app.add_middleware(_Heads)
    return app


class _App(FastAPI):
    secured = False

    @override
    def openapi(self) -> dict[str, Any]:
        """The document, without what FastAPI supposes of routes that read by hand."""
        return tidied(super().openapi(), secured=self.secured)


def _refusing(context: Context) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        if not isinstance(error, RefusalError):
            raise error
        context.metrics.rejected(error.code)
        return refused(error, request_id(request.scope))

    return answer


async def _unrouted(request: Request, error: Exception) -> Response:
    """There is nothing at the address, or not for this method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status != 405:
        said = "nothing is at this address; /docs shows what is"
        return refusal(status, "not-found", said, request_id(request.scope))
    allowed = ", ".join(_allowed(request))
    said = f"this address takes {allowed}"
    headers = {"Allow": allowed}
    return refusal(status, "method-not-allowed", said, request_id(request.scope), headers)


def _allowed(request: Request) -> list[str]:
    """Of all routes at the address, not only the first."""
    routes = request.app.routes
    found = [
        method
        for method in ("GET", "POST")
        if any(r.matches({**request.scope, "method": method})[0] is Match.FULL for r in routes)
    ]
    return [*found, *(["HEAD"] if "GET" in found else [])]


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=_GONE)


class _Heads:
    """HEAD is answered as GET is, without the body (RFC 9110, section 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        scope["method"] = "GET"
        try:
            await self._app(scope, receive, send_head)
        finally:
            scope["method"] = "HEAD"
