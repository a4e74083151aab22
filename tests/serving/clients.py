"""The application without guards, asked in this process."""

import base64
import json
from typing import Any

from fastapi.testclient import TestClient

from beholder.serving.app import create_app
from beholder.serving.context import Context, Fetching
from beholder.serving.items import Backend, Fault, Picture
from beholder.serving.metrics import Metrics
from beholder.serving.settings import Access, PoolSettings, RequestLimits, ServeSettings
from tests.serving.fakes import FakeBackend, png

TOKEN = "correct-horse-battery-staple"


class NoPictures:
    """Fetches nothing."""

    async def fetch(self, url: str) -> Picture | Fault:
        return Fault("url", "nothing is fetched")


def context_of(
    backend: Backend | None = None,
    *,
    token: str = "",
    timeout: float = 60.0,
    limits: RequestLimits | None = None,
    fetch: Fetching | None = None,
) -> Context:
    settings = ServeSettings(
        pool=PoolSettings(workers=()),
        access=Access(token=token, host="0.0.0.0" if token else "127.0.0.1"),
        limits=limits or RequestLimits(),
        timeout=timeout,
    )
    return Context(
        backend=backend or FakeBackend(),
        settings=settings,
        metrics=Metrics(),
        fetch=fetch or NoPictures(),
    )


def client_of(context: Context) -> TestClient:
    return TestClient(create_app(context))


def file(level: int = 100) -> str:
    """A grey picture as JSON carries it."""
    return base64.b64encode(png(level)).decode()


def posted(client: TestClient, document: object, path: str = "/v1/score") -> Any:
    """Status and document of the answer."""
    return sent(client, json.dumps(document).encode(), path)


def sent(client: TestClient, body: bytes, path: str = "/v1/score") -> Any:
    """The same of a body that need not be JSON but is said to be."""
    response = client.post(path, content=body, headers={"Content-Type": "application/json"})
    return response.status_code, response.json()


def counted(context: Context, line: str) -> bool:
    """Whether Prometheus would read this line."""
    return line in context.metrics.render()[0].decode().splitlines()
