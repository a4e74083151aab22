"""What every route shares, and what a request carries with it from the guards to the log."""

from __future__ import annotations

import uuid
from collections.abc import MutableMapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from beholder.serving.items import Backend, Fault, Picture
from beholder.serving.metrics import Metrics
from beholder.serving.settings import ServeSettings

_REQUEST_ID = "beholder.request_id"
_ITEMS = "beholder.items"
_THREADS = 2

Scope = MutableMapping[str, Any]
"""What ASGI says of a request; one object from the outermost guard to the route."""


@runtime_checkable
class Fetching(Protocol):
    """What may fetch pictures; the only way out of the server."""

    async def fetch(self, url: str) -> Picture | Fault:
        """The picture, or Fault "url" saying why the address is refused or gave none."""


def _threads() -> Executor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="bodies")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What every route is made with.

    Attributes:
        backend: what scores.
        settings: of the whole server.
        metrics: what is counted.
        fetch: the only way to pictures at an address.
        threads: read and write large bodies, so that the event loop answers others meanwhile.
    """

    backend: Backend
    settings: ServeSettings
    metrics: Metrics
    fetch: Fetching
    threads: Executor = field(default_factory=_threads, repr=False)


def set_request_id(scope: Scope, request_id: str) -> None:
    """Note the id that the answer and the log give the request; it must be checked already."""
    scope[_REQUEST_ID] = request_id


def request_id(scope: Scope) -> str:
    """The id of the request; a new one where none was noted."""
    return str(scope.setdefault(_REQUEST_ID, uuid.uuid4().hex))


def set_items(scope: Scope, items: int) -> None:
    """Note how many items the request asks about, for the log."""
    scope[_ITEMS] = items


def items_of(scope: Scope) -> int:
    """How many items the request asks about; 0 where it was refused before they were counted."""
    return int(scope.get(_ITEMS, 0))
