"""The whole application in this process, with a stand-in for what scores and what fetches."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi.testclient import TestClient

from beholder.serving.app import create_app
from beholder.serving.context import Context
from beholder.serving.items import Backend, Fault, Picture
from beholder.serving.metrics import Metrics
from beholder.serving.settings import (
    Access,
    PoolSettings,
    RequestLimits,
    ServeSettings,
)

LABEL_STUDIO = "http://labels.example:8080"


@dataclass
class Files:
    """Pictures by address; whatever is asked is noted, in order."""

    found: Mapping[str, bytes]
    asked: list[str] = field(default_factory=list)

    async def fetch(self, url: str) -> Picture | Fault:
        self.asked.append(url)
        data = self.found.get(url)
        return Fault("url", "there is nothing") if data is None else Picture(data=data)


def client(backend: Backend, files: Files | None = None, *, items: int = 256) -> TestClient:
    """A client of a server that nothing guards and that knows one Label Studio."""
    settings = ServeSettings(
        pool=PoolSettings(workers=()),
        access=Access(label_studio=LABEL_STUDIO),
        limits=RequestLimits(items=items),
    )
    context = Context(
        backend=backend, settings=settings, metrics=Metrics(), fetch=files or Files({})
    )
    return TestClient(create_app(context))
