"""One request to the backend: checked, bounded in time, and dropped when nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from beholder.serving.context import Context, set_items
from beholder.serving.documents import check_items
from beholder.serving.items import Answer, Fault, Item, Picture
from beholder.serving.refusals import DeadlineError, MalformedError
from beholder.serving.results import bytes_of
from beholder.serving.room import hold
from beholder.serving.served import served

T = TypeVar("T")

_FETCHES = 8
_SHOWN = 60


async def answered(request: Request, context: Context, items: Sequence[Item]) -> list[Answer]:
    """One answer an item, in order; `scored`, for as long as the client waits for it.

    The body of the request must have been read. Raises as `scored` and `heeded` do.
    """
    return await heeded(request, context, scored(request, context, items))


async def scored(request: Request, context: Context, items: Sequence[Item]) -> list[Answer]:
    """One answer an item, in order; checked before and counted after.

    Raises:
        MalformedError: if there is no item, or a reward that is not served.
        TooLargeError: if there are too many items.
        NotReadyError: if there is no room for their maps and words.
        RefusalError: as `Backend.score`.
    """
    check_count(context, len(items))
    check_rewards(context, {name for item in items for name in item.rewards})
    set_items(request.scope, len(items))
    answers = await context.backend.score(items, timeout=context.settings.timeout)
    _count(context, answers)
    hold(sum(bytes_of(answer) for answer in answers))
    return answers


def check_count(context: Context, items: int) -> None:
    """Raise MalformedError if there is nothing to score, TooLargeError if there is too much."""
    if not items:
        raise MalformedError("there is no picture to score")
    check_items(items, context.settings.limits.items)


def check_rewards(context: Context, names: set[str]) -> None:
    """Raise MalformedError if one is not served, NotReadyError while none is loaded."""
    served(context.backend, None)
    for name in sorted(names - set(context.backend.rewards)):
        raise MalformedError(unknown(context, name))


def unknown(context: Context, name: str) -> str:
    """What a client is told that asks for a reward by a name that none has."""
    shown = repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")
    return f"no reward is served as {shown}; served: {', '.join(context.backend.rewards)}"


async def heeded(request: Request, context: Context, work: Coroutine[Any, Any, T]) -> T:
    """What the work gives; it is cancelled when the client goes away or the time is over.

    The body of the request must have been read: what still comes of it would be lost.

    Raises:
        ClientDisconnect: if the client went away.
        DeadlineError: if it took longer than the time-out.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    timeout = context.settings.timeout
    try:
        await asyncio.wait({task, gone}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            gone.result()
            raise ClientDisconnect
        raise DeadlineError(f"not answered within {timeout:g} seconds; ask for less at once")
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def fetched(context: Context, urls: Sequence[str]) -> list[Picture | Fault]:
    """The pictures at the addresses, in order, a few at a time.

    Together they may have as many bytes as a body; the rest have Fault "too-large".
    """
    room, turns = context.settings.limits.body, asyncio.Semaphore(_FETCHES)

    async def one(url: str) -> Picture | Fault:
        nonlocal room
        async with turns:
            if room <= 0:
                return Fault("too-large", "the pictures of this request are too many bytes")
            found = await context.fetch.fetch(url)
            room -= len(found.data) if isinstance(found, Picture) else 0
            return found

    tasks = [asyncio.ensure_future(one(url)) for url in urls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _count(context: Context, answers: Sequence[Answer]) -> None:
    asked: dict[str, int] = {}
    for answer in answers:
        for name in (*answer.scores, *answer.faults):
            asked[name] = asked.get(name, 0) + 1
        for name, fault in answer.faults.items():
            context.metrics.faults(name, fault.code)
    for name, count in asked.items():
        context.metrics.items(name, count)
