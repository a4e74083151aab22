"""The demo as a process: one address, whoever may ask, and nothing that leaves this machine."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from beholder.demo.judging import Judges
from beholder.errors import BeholderError
from beholder.rewards import Reward
from beholder.serving.settings import Access

MOST_BYTES = 64 * 2**20
"""Of an uploaded picture."""

_ENDING = (signal.SIGINT, signal.SIGTERM)
_QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_RUN_HISTORY": "False"}


def run_demo(
    rewards: Mapping[str, Reward],
    access: Access,
    door: socket.socket,
    *,
    examples: str = "",
    ready: Callable[[str], object] = lambda address: None,
) -> None:
    """Serve the page until SIGTERM or Ctrl-C.

    Args:
        rewards: what is asked, by the names that people read.
        access: who may see the page.
        door: where it is, as `listening_at` gives it.
        examples: where pictures to begin with come from; "" draws some.
        ready: called with the address of the page once it answers.

    Raises DataError if the examples cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="beholder-demo-") as kept:
        application = application_of(rewards, access, Path(kept), examples)
        _server(application, lambda: ready(_address(door))).run(sockets=[door])


def application_of(
    rewards: Mapping[str, Reward], access: Access, folder: Path, examples: str = ""
) -> Any:
    """The whole page as an ASGI application; uploads and examples lie in `folder`."""
    os.environ |= {**_QUIET, "GRADIO_TEMP_DIR": str(folder / "uploads")}  # read when it is imported
    import gradio as gr  # noqa: PLC0415
    from fastapi import FastAPI  # noqa: PLC0415

    from beholder.demo.app import page_of, theme  # noqa: PLC0415
    from beholder.demo.examples import drawn_examples, examples_from  # noqa: PLC0415
    from beholder.demo.guard import Guard  # noqa: PLC0415
    from beholder.demo.panels import style  # noqa: PLC0415
    from beholder.demo.uploads import uploads_alone  # noqa: PLC0415

    shown = examples_from(examples, folder) if examples else drawn_examples(folder)
    page = page_of(Judges(rewards), shown)
    application = gr.mount_gradio_app(
        FastAPI(openapi_url=None),
        page,
        path="/",
        footer_links=[],
        run_history=False,
        max_file_size=MOST_BYTES,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        theme=theme(),
        css=style(),
    )
    uploads_alone(page)
    return Guard(application, access)


def listening_at(access: Access) -> socket.socket:
    """A bound socket; BeholderError if the address is taken."""
    family = socket.AF_INET6 if ":" in access.host else socket.AF_INET
    try:
        return socket.create_server((access.host, access.port), family=family)
    except OSError as error:
        why = f"cannot listen at {access.host} port {access.port}: {error.strerror}"
        raise BeholderError(f"{why}; choose another with --port") from error


def _address(door: socket.socket) -> str:
    host, port = door.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _server(application: Any, ready: Callable[[], object]) -> Any:
    import uvicorn  # noqa: PLC0415

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Signals end it; uvicorn would raise them again before the uploads are gone."""
            before = {each: signal.signal(each, self.handle_exit) for each in _ENDING}
            try:
                yield
            finally:
                for each, handler in before.items():
                    signal.signal(each, handler)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,  # an open page holds a connection
    )
    return Server(config)
