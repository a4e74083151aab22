"""Addresses of other programs' protocols: at the root and by reward."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from beholder.errors import DataError
from beholder.serving.bodies import read_json
from beholder.serving.context import Context
from beholder.serving.describing import answer, json_body, refusals
from beholder.serving.items import RewardInfo
from beholder.serving.refusals import MalformedError, TooLargeError
from beholder.serving.served import served

EXAMPLE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
"""A picture in base64, for the documentation: a PNG of one grey pixel."""

T = TypeVar("T")
Answering = Callable[[Context, Request, RewardInfo], Awaitable[Mapping[str, object]]]
"""What makes the JSON of an answer; it is given the reward that the address means."""

_REWARD = {
    "name": "reward",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "The name that the reward is served by.",
}


def add(
    router: APIRouter,
    context: Context,
    path: str,
    answering: Answering,
    *,
    gives: type[BaseModel],
    method: str = "POST",
    asks: type[BaseModel] | None = None,
    refuses: tuple[int, ...] = (),
) -> None:
    """Answer at `path` for the default reward and at `/{reward}` before it for each.

    Args:
        router: gets both routes.
        context: whose rewards are meant; an unknown one is a 404, none loaded yet a 503.
        path: such as "/score".
        answering: its first docstring line and its name are shown in the documentation.
        gives: the shape of the answer, for the documentation.
        method: of HTTP.
        asks: the shape of the JSON body, for the documentation; None if none is read.
        refuses: further statuses.
    """

    async def endpoint(request: Request) -> Response:
        info = served(context.backend, request.path_params.get("reward"))
        return JSONResponse(await answering(context, request, info))

    shape = {} if asks is None else json_body(asks)
    for prefix, of, missing in (("", [], ()), ("/{reward}", [_REWARD], (404,))):
        router.add_api_route(
            prefix + path,
            endpoint,
            methods=[method],
            name=answering.__name__.lstrip("_"),
            summary=(answering.__doc__ or "").splitlines()[0],
            responses=answer(gives) | refusals(503, *missing, *refuses),
            openapi_extra={**shape, "parameters": of} if of else shape,
        )


async def read_as(
    request: Request, context: Context, understood: Callable[[object], T], counted: str
) -> T:
    """What `understood` makes of the body, which may have as many `counted` as a request may items.

    Raises:
        TooLargeError: if the body has more.
        MalformedError: if it is no JSON, or `understood` raises a DataError.
        UnsupportedTypeError: if it is not said to be JSON.
    """
    most = context.settings.limits.items

    def checked(body: object) -> T:
        rows = body.get(counted) if isinstance(body, Mapping) else None
        if isinstance(rows, list) and len(rows) > most:
            raise TooLargeError(f"{len(rows):,} {counted}, at most {most:,} are taken at once")
        try:
            return understood(body)
        except DataError as error:
            raise MalformedError(str(error)) from error

    return await read_json(request, context, checked)
