"""The server as a process: HTTP at once, ready when its workers are, ended with nothing lost.

SIGTERM and SIGINT stop it: nobody new is heard, what was accepted is answered, then the workers
end; a second one stops it at once. SIGHUP loads the weights anew.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn

from beholder.errors import BeholderError
from beholder.serving.app import create_app
from beholder.serving.context import Context
from beholder.serving.fetching import Fetcher
from beholder.serving.guards import guarded
from beholder.serving.heap import settle, unsettled_afterwards
from beholder.serving.metrics import Metrics
from beholder.serving.pool import Pool
from beholder.serving.protocol_guard import guarded_protocol
from beholder.serving.settings import ServeSettings

_LOG = logging.getLogger(__name__)
_BACKLOG = 2048
_KEEP_ALIVE = 65  # seconds; a client that comes back sooner meets no reset
_UNTIL_DEAF = 1.2
"""Seconds after which uvicorn hears nobody new for sure; what came by then is accepted."""


def serve(settings: ServeSettings, ready: Callable[[str], object] = lambda address: None) -> int:
    """Serve until told to end; gives how many accepted items were not answered.

    Args:
        settings: what is served, and how.
        ready: called with the server's address once the rewards are loaded and warm.

    Raises:
        BeholderError: if the address is taken or cannot be listened at, and as loading does.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a line for all garbage sent
    with (
        unsettled_afterwards(),
        listening_at(settings.access.host, settings.access.port) as listening,
        asyncio.Runner(loop_factory=_faster_loop()) as runner,
    ):
        return runner.run(_Serving(settings, listening).run(ready))


def _faster_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """That of uvloop where it is installed, as it is but on Windows; None for Python's own."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    return uvloop.new_event_loop


def listening_at(host: str, port: int) -> socket.socket:
    """A bound socket, before any weight is loaded: an address that is taken is told at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio lets answers leave at once (TCP_NODELAY) only where a socket says that it is of TCP
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise BeholderError(f"cannot listen at {host} port {port}: {error.strerror}") from error
    return listening


def address_of(listening: socket.socket) -> str:
    """As a client writes it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled here, not by uvicorn, which would raise them again at the end."""
        yield


class _Serving:
    """One run of the server."""

    def __init__(self, settings: ServeSettings, listening: socket.socket) -> None:
        self._settings, self._listening = settings, listening
        metrics = Metrics()
        self._pool = Pool(settings.pool, metrics)
        fetch = Fetcher(settings.access, settings.limits)
        context = Context(backend=self._pool, settings=settings, metrics=metrics, fetch=fetch)
        self._server = _Server(
            uvicorn.Config(
                guarded(create_app(context), context),
                http=guarded_protocol(settings.limits),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
                proxy_headers=False,
                timeout_graceful_shutdown=math.ceil(settings.drain_seconds + 2 * _UNTIL_DEAF),
            )
        )
        self._reloading: asyncio.Task[None] | None = None
        self._draining: asyncio.Task[int] | None = None

    async def run(self, ready: Callable[[str], object]) -> int:
        """Until a signal ends it, or the rewards cannot be loaded."""
        self._heed_signals()
        http = asyncio.create_task(self._server.serve([self._listening]))
        starting = asyncio.create_task(self._start(ready))
        try:
            await asyncio.wait({http, starting}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()  # raises why the rewards cannot be loaded
            await http
            return await self._unanswered()
        finally:
            await self._end(http, starting)

    async def _start(self, ready: Callable[[str], object]) -> None:
        await self._pool.start()
        settle()
        ready(address_of(self._listening))

    async def _end(self, http: asyncio.Task[None], starting: asyncio.Task[None]) -> None:
        self._server.should_exit = self._server.force_exit = True
        for task in (starting, self._reloading, self._draining):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
        with suppress(asyncio.CancelledError):
            await http
        await self._pool.close()

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        heeded = {"SIGTERM": self._stop, "SIGINT": self._stop, "SIGHUP": self._reload}
        for name, heed in heeded.items():
            if hasattr(signal, name):
                loop.add_signal_handler(getattr(signal, name), heed)

    def _stop(self) -> None:
        if self._draining is None:
            self._server.should_exit = True
            self._draining = asyncio.create_task(self._drain())
        else:
            self._server.force_exit = True
            self._draining.cancel()

    async def _drain(self) -> int:
        """Begun beside uvicorn's end: that cancels what is late, which then counts no more."""
        await asyncio.sleep(_UNTIL_DEAF)
        return await self._pool.drain(self._settings.drain_seconds)

    async def _unanswered(self) -> int:
        if self._draining is None:
            return 0
        with suppress(asyncio.CancelledError):
            return await self._draining
        return await self._pool.drain(0)

    def _reload(self) -> None:
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._reloaded())

    async def _reloaded(self) -> None:
        try:
            await self._pool.reload()
        except BeholderError as error:
            _LOG.error("the old weights stay: %s", error)
