"""What those find who come to the bare address of the server or of a reward: how to ask."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import beholder
from beholder.serving.context import Context
from beholder.serving.describing import answer, refusals
from beholder.serving.refusals import RefusalError
from beholder.serving.served import served

_SEGMENT = re.compile(r"[\w.-]+", re.ASCII)
_OURS = ("docs", "health", "healthz", "metrics", "openapi.json", "readyz", "rewards", "versions")


class Welcome(BaseModel):
    """Where to go from here."""

    server: str
    version: str
    rewards: list[str] = Field(description="What this address is of, the default first.")
    docs: str
    ask: str = Field(description="A first question, as a command line.")


class ElsewhereError(RefusalError):
    """An address at which nothing is, but which says what was meant."""

    status, code = 404, "not-found"


def router(context: Context) -> APIRouter:
    """The bare addresses, and what is said where /v1 is asked for behind a reward's name."""
    made = APIRouter(tags=["health"])

    @made.get("/", responses=answer(Welcome) | refusals(503))
    async def welcome() -> Response:
        """What is served here, and how to ask it; the address /NAME says so of one."""
        served(context.backend, None)
        return _welcome([*context.backend.rewards], "")

    async def welcome_of(request: Request) -> Response:
        name = served(context.backend, request.url.path.strip("/")).name
        return _welcome([name], f"-F reward={name} ")

    async def elsewhere(reward: str, rest: str) -> Response:
        name = served(context.backend, reward).name
        raise ElsewhereError(
            f'/v1 is at the root alone; ask /v1/score with "rewards": ["{name}"] in JSON, or '
            f"reward={name} in a form, and see /v1/rewards/{name}"
        )

    for name in _bare(context):
        made.add_api_route(f"/{name}", welcome_of, include_in_schema=False)
    made.add_api_route(
        "/{reward}/v1/{rest:path}", elsewhere, methods=["GET", "POST"], include_in_schema=False
    )
    return made


def _bare(context: Context) -> list[str]:
    """Names that are an address of nothing else, and of one segment without escapes."""
    names = {name for worker in context.settings.pool.workers for name in worker.rewards}
    return [name for name in sorted(names) if name not in _OURS and _SEGMENT.fullmatch(name)]


def _welcome(rewards: Sequence[str], named: str) -> Response:
    ask = f'curl -F image=@fox.png -F prompt="a red fox" {named}http://HOST:PORT/v1/score'
    told = Welcome(
        server="beholder", version=beholder.__version__, rewards=[*rewards], docs="/docs", ask=ask
    )
    return JSONResponse(told.model_dump())
