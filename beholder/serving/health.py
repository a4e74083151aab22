"""Whether the server lives, whether it can score, what it has counted, and what it is."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from beholder.serving import welcome
from beholder.serving.context import Context
from beholder.serving.describing import OPEN, answer, refusals
from beholder.serving.documents import HealthTold
from beholder.serving.served import check_ready

_COUNTS = {"description": "Counts.", "content": {"text/plain": {"schema": {"type": "string"}}}}


def router(context: Context) -> APIRouter:
    """The routes that orchestrators and Prometheus ask; the first two need no token."""
    made = APIRouter(tags=["health"])
    made.include_router(welcome.router(context))

    @made.get("/healthz", responses=answer(HealthTold) | refusals(token=False), openapi_extra=OPEN)
    async def healthz() -> Response:
        """Whether the server answers at all; it may still be loading."""
        return JSONResponse({"status": "ok"})

    @made.get(
        "/readyz", responses=answer(HealthTold) | refusals(503, token=False), openapi_extra=OPEN
    )
    async def readyz() -> Response:
        """Whether pictures can be scored now, and why not while it loads or ends."""
        check_ready(context.backend)
        return JSONResponse({"status": "ok"})

    @made.get("/metrics", responses={200: _COUNTS, **refusals()}, response_class=Response)
    async def metrics() -> Response:
        """What was counted, for Prometheus."""
        text, kind = context.metrics.render()
        return Response(text, media_type=kind)

    return made
