"""Bodies of requests: read whole, understood away from the event loop where they are large.

Nothing of a body is ever written to a file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

from beholder.serving.context import Context
from beholder.serving.json_text import strict_json
from beholder.serving.multipart import content_type
from beholder.serving.refusals import UnsupportedTypeError
from beholder.serving.room import hold

T = TypeVar("T")

_LARGE = 256 * 2**10
_MARKS_AN_ITEM = 4_000


async def read_json(request: Request, context: Context, understood: Callable[[object], T]) -> T:
    """What `understood` makes of the JSON that came.

    `understood` may run in another thread; what it raises is raised here.

    Raises:
        UnsupportedTypeError: if the body is not said to be JSON.
        MalformedError, TooLargeError: as `strict_json`.
        NotReadyError: as `read`.
    """
    if not is_json(request):
        raise UnsupportedTypeError("the body must be of Content-Type application/json, in UTF-8")
    body = await request.body()
    most = _MARKS_AN_ITEM * context.settings.limits.items
    return await read(context, body, lambda: understood(strict_json(body, most)))


async def read(context: Context, body: bytes, understood: Callable[[], T]) -> T:
    """What `understood` makes of a body; the pictures in it are copies, which take room too.

    Raises NotReadyError if there is no room for them.
    """
    hold(len(body))
    return await aside(context, len(body), understood)


def is_json(request: Request) -> bool:
    """Whether the body is said to be JSON, which is in UTF-8."""
    kind, parameters = content_type(request.headers.get("content-type", ""))
    return kind == "application/json" and parameters.get("charset", "utf-8").lower() == "utf-8"


async def aside(context: Context, size: int, work: Callable[[], T]) -> T:
    """What `work` gives, made in another thread if it is about many bytes."""
    if size < _LARGE:
        return work()
    return await asyncio.get_running_loop().run_in_executor(context.threads, work)
