"""The application asked without a network: as a server calls it, thousands of times a second."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message
from typing_extensions import override

from beholder.rewards import Reward
from beholder.serving.engine import Engine
from beholder.serving.infos import info_of
from beholder.serving.items import Answer, Backend, Item, RewardInfo
from beholder.serving.settings import WorkerSettings

HANG_SECONDS = 30.0
Headers = Mapping[str, str]


@dataclass
class EngineBackend(Backend):
    """A real engine in this process; `broke` is what ended it."""

    served: Mapping[str, Reward]
    broke: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = WorkerSettings(rewards={}, batch_size=4, decoders=2)
        self._waiting: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Future[Answer]]] = {}
        self._asked = 0
        self._engine = Engine(
            self.served, settings, self._answered, lambda batch: None, self.broke.append
        )
        details = self._engine.warm_up()
        self._infos = {
            name: info_of(name, reward, "white", details[name])
            for name, reward in self.served.items()
        }

    @property
    @override
    def rewards(self) -> Mapping[str, RewardInfo]:
        return self._infos

    @property
    @override
    def unready(self) -> str:
        return ""

    @override
    async def score(self, items: Sequence[Item], *, timeout: float) -> list[Answer]:
        async with asyncio.timeout(timeout):
            return await asyncio.gather(*map(self._scored, items))

    @override
    async def reload(self) -> None:
        raise AssertionError("nothing asks for it here")

    def close(self) -> None:
        self._engine.close()

    def _scored(self, item: Item) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._asked += 1
        self._waiting[self._asked] = loop, future
        self._engine.submit(self._asked, item)
        return future

    def _answered(self, number: int, answer: Answer) -> None:
        loop, future = self._waiting.pop(number)
        loop.call_soon_threadsafe(_settle, future, answer)


def _settle(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)


@dataclass(frozen=True)
class Response:
    """Of one request; names of headers are in lower case."""

    status: int
    headers: Headers
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@dataclass(frozen=True)
class Asking:
    """Asks an application, one request after another."""

    app: ASGIApp
    loop: asyncio.AbstractEventLoop

    def post(
        self, path: str, body: bytes, kind: str = "application/json", **headers: str
    ) -> Response:
        """The one answer; it must come soon."""
        given = {"content-type": kind, "content-length": str(len(body)), **headers}
        call = self._call("POST", path, body, given)
        return self.loop.run_until_complete(asyncio.wait_for(call, HANG_SECONDS))

    async def _call(self, method: str, path: str, body: bytes, headers: Headers) -> Response:
        said: list[Message] = []
        gone = asyncio.Event()
        coming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if coming:
                return coming.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            said.append(message)

        await self.app(_scope(method, path, headers), receive, send)
        start, *rest = said
        assert start["type"] == "http.response.start"
        assert not rest[-1].get("more_body", False)
        pairs = ((name.decode(), value.decode("latin-1")) for name, value in start["headers"])
        return Response(start["status"], dict(pairs), b"".join(m.get("body", b"") for m in rest))


def _scope(method: str, path: str, headers: Headers) -> dict[str, Any]:
    listed = {"host": "127.0.0.1:8000", **headers}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in listed.items()],
        "client": ("127.0.0.1", 40_000),
        "server": ("127.0.0.1", 8_000),
    }


@contextmanager
def asking(app: ASGIApp) -> Iterator[Asking]:
    """A loop that ends with the tests."""
    loop = asyncio.new_event_loop()
    try:
        yield Asking(app, loop)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
