"""A real Label Studio for tests: started from a prepared folder, with three people signed up.

Needs an installed Label Studio, named by the variable BEHOLDER_LABEL_STUDIO; without it every test
that asks for one is skipped. The prepared folder (a migrated database) is made once and kept in
pytest's cache, or in the folder that BEHOLDER_LIVE_CACHE names.
"""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from beholder.annotation.server.connection import connect
from beholder.annotation.server.install import EXECUTABLE_VARIABLE, RELEASE
from beholder.annotation.server.local import LocalServer, down, up

CACHE_VARIABLE = "BEHOLDER_LIVE_CACHE"
PASSWORD = "correct horse battery"
NAMES = ("ann", "bob", "eve")
Start = Callable[..., LocalServer]


@pytest.fixture(scope="session")
def prepared_folder(request: pytest.FixtureRequest) -> Path:
    """Folder of a server that was up once: every migration is done, nobody else signed up."""
    if not os.environ.get(EXECUTABLE_VARIABLE):
        pytest.skip(f"{EXECUTABLE_VARIABLE} names no label-studio")
    given = os.environ.get(CACHE_VARIABLE)
    assert request.config.cache is not None
    cache = Path(given) if given else request.config.cache.mkdir("label-studio")
    folder, partial = cache / f"prepared-{RELEASE}", cache / f"preparing-{os.getpid()}"
    if not folder.exists():
        up(partial, port=free_port())
        down(partial)
        try:
            partial.rename(folder)
        except OSError:  # another run of the tests was faster
            shutil.rmtree(partial)
    return folder


@pytest.fixture(scope="session")
def start_server(
    prepared_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """`start_server()` starts one more server, which ends with the tests."""
    started: list[LocalServer] = []

    def start(*, local_models: bool = False) -> LocalServer:
        folder = tmp_path_factory.mktemp("label-studio") / "server"
        shutil.copytree(prepared_folder, folder)
        server = up(folder, port=free_port(), local_models=local_models)
        started.append(server)
        return server

    yield start
    for server in started:
        down(server.folder)


@pytest.fixture(scope="module")
def live_server(start_server: Start) -> LocalServer:
    """A server of the module's own; its .url, .token, .files and .folder."""
    return start_server()


@pytest.fixture(scope="module")
def people(live_server: LocalServer) -> list[tuple[int, str]]:
    """Three annotators of the module's server: user id and API token of each."""
    return [sign_up(live_server, f"{name}@example.com") for name in NAMES]


def sign_up(server: LocalServer, email: str, password: str = PASSWORD) -> tuple[int, str]:
    """User id and API token of a person who signs up by the invite link, as a browser would."""
    with connect(server.url, server.token) as connection:
        link = connection.invite()
    with httpx.Client(base_url=server.url, follow_redirects=True, timeout=60) as browser:
        browser.get(link).raise_for_status()
        form = {"email": email, "password": password, "allow_newsletters": "false"}
        submit(browser, link, form)
        token = browser.get("/api/current-user/token").raise_for_status().json()["token"]
        user = browser.get("/api/current-user/whoami").raise_for_status().json()["id"]
    return int(user), str(token)


def submit(browser: httpx.Client, link: str, form: dict[str, str]) -> None:
    """Post a form with the token that guards it against other sites."""
    guard = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    answer = browser.post(link, data=form | guard, headers={"Referer": link})
    answer.raise_for_status()
    assert urlsplit(str(answer.url)).path != urlsplit(link).path, "the form was shown again"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
