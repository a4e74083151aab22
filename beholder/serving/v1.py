"""The server's own protocol: POST /v1/score, GET /v1/rewards, POST /v1/reload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from beholder.errors import BeholderError
from beholder.rewards._remote.identity import CHANGED, HEADER, digest_of
from beholder.serving.asking import check_count, check_rewards, fetched, heeded, scored
from beholder.serving.bodies import is_json, read, read_json
from beholder.serving.context import Context, request_id
from beholder.serving.describing import JSON, OF_SCORING, answer, body, refusals, schema_of
from beholder.serving.documents import ReloadedTold, RewardsTold, RewardTold, ScoreAsked, ScoresTold
from beholder.serving.items import Answer, Item, RewardInfo
from beholder.serving.multipart import content_type, parts_of
from beholder.serving.refusals import ForbiddenError, RefusalError, UnsupportedTypeError
from beholder.serving.results import COPIES, PIECE, bytes_of, document, pieces
from beholder.serving.room import hold
from beholder.serving.served import served
from beholder.serving.wanted import Address, Wanted, of_document, of_parts

_FORM = "multipart/form-data"
_OTHER_PARTS = 64  # rewards, details and one prompt for all
_RELOADS = 2
"""One that loads, and one that waits to load what came after the first began."""

_FORM_SCHEMA = {
    "type": "object",
    "required": ["image"],
    "properties": {
        "image": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "format": "binary"},
            "description": "Files; or RGB rows in parts of Content-Type "
            "application/x-beholder-pixels; dtype=uint8; height=512; width=512.",
        },
        "prompt": {
            "type": "array",
            "items": {"type": "string"},
            "description": "None, one for all, or one each.",
        },
        "reward": {"type": "array", "items": {"type": "string"}},
        "detail": {
            "type": "array",
            "items": {"type": "string", "enum": ["maps", "words", "deviations"]},
        },
    },
}
_BODY = body({JSON: {"schema": schema_of(ScoreAsked)}, _FORM: {"schema": _FORM_SCHEMA}})
_IDENTITY = {
    HEADER: {
        "description": 'Which model answered, "NAME=DIGEST" a reward, with commas.',
        "schema": {"type": "string"},
    }
}


class ReloadError(RefusalError):
    """The weights could not be loaded anew; the old ones stay."""

    status, code = 409, "reload-failed"


class ReloadPendingError(RefusalError):
    """Others have asked for the same, and it has not begun."""

    status, code = 409, "reload-pending"


def router(context: Context) -> APIRouter:
    """The routes of the server's own protocol."""
    made = APIRouter(tags=["v1"])
    reloads = _Reloads(context)
    answers = answer(ScoresTold, headers=_IDENTITY) | refusals(*OF_SCORING)

    @made.post("/v1/score", responses=answers, openapi_extra=_BODY)
    async def score(request: Request) -> Response:
        """Scores of pictures; a picture that cannot be scored has an error in its place."""
        return await _score(request, context)

    @made.get("/v1/rewards", responses=answer(RewardsTold) | refusals(503))
    async def rewards() -> Response:
        """What is served, the default first."""
        served(context.backend, None)
        return JSONResponse({"rewards": [_told(of) for of in context.backend.rewards.values()]})

    @made.get("/v1/rewards/{name}", responses=answer(RewardTold) | refusals(404, 503))
    async def reward(name: str) -> Response:
        """What one reward is, and what decides its numbers."""
        return JSONResponse(_told(served(context.backend, name)))

    @made.post("/v1/reload", responses=answer(ReloadedTold) | refusals(409, 503))
    async def reload() -> Response:
        """Load the weights anew; no request is refused or lost meanwhile. Needs a token."""
        return await reloads.ask()

    return made


def _told(info: RewardInfo) -> dict[str, object]:
    return asdict(info)


class _Reloads:
    """Those who ask for the weights to be loaded anew: loading takes long, and all memory twice."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pending = 0

    async def ask(self) -> Response:
        """What is served then.

        Raises ForbiddenError without a token, ReloadPendingError if one waits already, ReloadError.
        """
        if not self._context.settings.access.token:
            raise ForbiddenError("only a server with a token loads its weights anew")
        if self._pending >= _RELOADS:
            raise ReloadPendingError("the weights are loading, and will be loaded once more anyway")
        self._pending += 1
        try:
            await self._context.backend.reload()
        except RefusalError:
            raise
        except BeholderError as error:
            raise ReloadError(f"the old weights stay: {error}") from error
        finally:
            self._pending -= 1
        return JSONResponse({"rewards": list(self._context.backend.rewards)})


async def _score(request: Request, context: Context) -> Response:
    wanted = await _wanted(request, context)
    rewards = wanted.rewards or (served(context.backend, None).name,)
    check_count(context, len(wanted.pictures))
    check_rewards(context, set(rewards))
    before = _digests(context, rewards)
    answers = await heeded(request, context, _answers(request, context, wanted, rewards))
    headers = {HEADER: _which(before, _digests(context, rewards))}
    return _told_of(request_id(request.scope), context, answers, wanted, headers)


def _told_of(
    of: str,
    context: Context,
    answers: Sequence[Answer],
    wanted: Wanted,
    headers: Mapping[str, str],
) -> Response:
    """A long answer is written as the client reads it; NotReadyError if there is no room for it."""
    sizes = [bytes_of(answer) for answer in answers]
    if sum(sizes) < PIECE:
        text = document(of, answers, wanted.detail)
        return Response(text, headers=dict(headers), media_type=JSON)
    hold(COPIES * max(sizes))
    body = _made(context, pieces(of, answers, wanted.detail))
    return StreamingResponse(body, headers=headers, media_type=JSON)


async def _made(context: Context, of: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each in another thread, so that the event loop answers others meanwhile."""
    loop = asyncio.get_running_loop()
    while piece := await loop.run_in_executor(context.threads, next, of, b""):
        yield piece


async def _wanted(request: Request, context: Context) -> Wanted:
    limits = context.settings.limits
    if is_json(request):
        return await read_json(request, context, lambda document: of_document(document, limits))
    kind, parameters = content_type(request.headers.get("content-type", ""))
    if kind != _FORM:
        raise UnsupportedTypeError(f"the body must be {JSON} in UTF-8, or {_FORM}")
    form, boundary = await request.body(), parameters.get("boundary", "")
    most = 2 * limits.items + _OTHER_PARTS
    return await read(context, form, lambda: of_parts(parts_of(form, boundary, most), limits))


async def _answers(
    request: Request, context: Context, wanted: Wanted, rewards: tuple[str, ...]
) -> list[Answer]:
    """The pictures that are only named are fetched, then all are scored."""
    urls = [of.url for of in wanted.pictures if isinstance(of, Address)]
    found = iter(await fetched(context, urls))
    pictures = [next(found) if isinstance(of, Address) else of for of in wanted.pictures]
    items = [
        Item(picture=picture, prompt=prompt, rewards=rewards, detail=wanted.detail)
        for picture, prompt in zip(pictures, wanted.prompts, strict=True)
    ]
    return await scored(request, context, items)


def _digests(context: Context, rewards: Collection[str]) -> dict[str, str]:
    infos = context.backend.rewards
    return {name: digest_of(infos[name].identity) if name in infos else "" for name in rewards}


def _which(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """What answered: equal before and after, each picture was scored by that model."""
    each = {name: of if of == after[name] else CHANGED for name, of in before.items()}
    return ", ".join(f"{name}={of}" for name, of in each.items())
