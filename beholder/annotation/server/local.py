"""A Label Studio of one's own on this machine: up, down, and what is up.

SQLite, the loopback address only, nothing sent anywhere, secrets by environment and never on a
command line. One folder holds everything: `data/` (the database), `files/` (pictures to show),
`credentials.json`, `server.json` while it is up, and `server.log`.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from beholder.annotation.server import credentials, process
from beholder.annotation.server.credentials import Credentials
from beholder.annotation.server.install import find_executable, last_line
from beholder.errors import AnnotationError

LOCK, RECORD, LOG = "server.lock", "server.json", "server.log"
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
"""Of our own environment: Label Studio reads bare names such as DEBUG, HOST or USERNAME too."""
BOUND = re.compile(r"Starting development server at http://[^\s/]*:(\d+)")
"""Said once the port is bound; Label Studio silently takes the next port if its own is taken."""
LOCK_SECONDS = 3600
"""How long a task stays reserved for an annotator who opened it."""
TOLD_EVERY = 20.0
"""Seconds between two lines that say that a server is still waited for."""
RECORD_SECONDS = 5.0
"""How long a server may hold its lock before it is written down."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A Label Studio that runs from `folder`; its secrets are read when asked for."""

    folder: Path
    url: str
    port: int
    pid: int
    started: str
    version: str

    @property
    def files(self) -> Path:
        """Folder whose sub-folders a project can show pictures from."""
        return self.folder / "files"

    @property
    def credentials(self) -> Credentials:
        """The owner's log-in and token."""
        return credentials.read_credentials(self.folder)

    @property
    def token(self) -> str:
        """The owner's API token."""
        return self.credentials.token

    @staticmethod
    def read(folder: Path) -> LocalServer:
        """The server that is up in this folder; AnnotationError if none is."""
        server = status(folder)
        if server is None:
            raise AnnotationError(
                f"no Label Studio is up in {folder}; start it: beholder annotate up {folder}"
            )
        return server


def up(
    folder: Path,
    *,
    port: int = 8080,
    executable: Path | None = None,
    local_models: bool = False,
    wait_seconds: float = 600,
    say: Callable[[str], object] = lambda line: None,
) -> LocalServer:
    """The Label Studio of this folder, started if it is not up yet, once it answers.

    With `local_models` it asks `beholder serve` on this machine for predictions; otherwise it is
    kept from reaching addresses of private networks, as is safer where annotators are strangers.

    Raises AnnotationError if the port is taken, the folder holds other things, Label Studio is of
    another release, or it ends or stays silent instead of answering.
    """
    folder = _claimed(folder)
    with process.holding(folder / LOCK) as lock:
        if lock is None:
            say(f"Label Studio is up in {folder} already")
            server = _recorded(folder)
        else:
            (folder / RECORD).unlink(missing_ok=True)  # a record now tells of this start
            process.check_port(port)
            program, version = find_executable(executable, say)
            server = _start(folder, port, program, version, lock, say, local_models)
    _await(server, wait_seconds, say)
    return server


def down(folder: Path) -> bool:
    """Whether a server was up in this folder and is stopped now."""
    server = status(folder)
    if server is None:
        return False
    process.stop(server.pid, server.folder / LOCK)
    (server.folder / RECORD).unlink(missing_ok=True)
    return True


def status(folder: Path) -> LocalServer | None:
    """The server that runs from this folder, or None."""
    folder = folder.expanduser().absolute()
    return _recorded(folder) if process.is_held(folder / LOCK) else None


def _claimed(folder: Path) -> Path:
    """The folder as an absolute path, private, and a server's or nobody's."""
    folder = folder.expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (folder / credentials.FILE).exists():
        return folder
    foreign = {path.name for path in folder.iterdir()} - {LOCK, credentials.PARTIAL}
    if foreign:
        raise AnnotationError(
            f"{folder} holds {min(foreign)!r} and no server; give an empty or new folder"
        )
    folder.chmod(0o700)
    return folder


def _start(
    folder: Path,
    port: int,
    program: Path,
    version: str,
    lock: int,
    say: Callable[[str], object],
    local_models: bool,
) -> LocalServer:
    environment = _environment(folder, credentials.make_credentials(folder), local_models)
    for name in ("data", "files"):
        (folder / name).mkdir(exist_ok=True)
    first = not (folder / "data" / "label_studio.sqlite3").exists()
    note = "; the first start prepares its database, which takes minutes" if first else ""
    say(f"starting Label Studio {version} in {folder}{note}")
    command = (program, "start", "--no-browser", "--internal-host", "127.0.0.1")
    pid = process.start(
        (*command, "--port", str(port)),
        cwd=folder,
        env=environment,
        log=folder / LOG,
        lock=lock,
    )
    started = datetime.now(UTC).isoformat(timespec="seconds")
    server = LocalServer(folder, f"http://127.0.0.1:{port}", port, pid, started, version)
    _write(server)
    return server


def _environment(folder: Path, owner: Credentials, local_models: bool) -> dict[str, str]:
    """The harmless part of our own environment, and every setting that is relied on."""
    are_guarded = "false" if local_models else "true"
    settings = {
        "BASE_DATA_DIR": str(folder / "data"),
        "USERNAME": owner.email,
        "PASSWORD": owner.password,
        "USER_TOKEN": owner.token,
        "ENABLE_LEGACY_API_TOKEN": "true",
        "DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LOCAL_FILES_SERVING_ENABLED": "true",
        "LOCAL_FILES_DOCUMENT_ROOT": str(folder / "files"),
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "CORS_ALLOW_ALL_ORIGINS": "false",
        "SSRF_PROTECTION_ENABLED": are_guarded,  # also of the webhook that each model gets
        "ML_BLOCK_LOCAL_IP": are_guarded,
        "TASK_LOCK_TTL": str(LOCK_SECONDS),
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "DJANGO_DB": "sqlite",
        "LOG_LEVEL": "WARNING",
    }
    own = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    told_at_once = {"PYTHONUNBUFFERED": "1"}  # the log says when the port is bound
    return own | told_at_once | {f"LABEL_STUDIO_{name}": settings[name] for name in settings}


def _await(server: LocalServer, seconds: float, say: Callable[[str], object]) -> None:
    """Return once the server answers on its port; else stop it and raise AnnotationError."""
    begun = told = time.monotonic()
    while time.monotonic() < begun + seconds:
        log = _opening(server.folder / LOG)
        if not process.is_held(server.folder / LOCK):
            raise AnnotationError(
                f"Label Studio ended as it started: {last_line(log)} ({server.folder / LOG})"
            )
        bound = BOUND.search(log)
        if bound and int(bound[1]) != server.port:
            down(server.folder)
            raise AnnotationError(f"port {server.port} was taken meanwhile; give another")
        if bound and _answers(server.port):
            return
        if time.monotonic() >= told + TOLD_EVERY:
            told += TOLD_EVERY
            say(f"waiting for it, {told - begun:.0f} s; {server.folder / LOG} has what it says")
        time.sleep(0.2)
    down(server.folder)
    raise AnnotationError(
        f"Label Studio did not answer within {seconds:.0f} s: {last_line(log)} "
        f"({server.folder / LOG})"
    )


def _opening(log: Path) -> str:
    """What was said at the start; a log grows with every request."""
    with log.open(encoding="utf-8", errors="replace") as file:
        return file.read(1 << 16)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/health/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _write(server: LocalServer) -> None:
    path = server.folder / RECORD
    partial = path.with_name(f"{RECORD}.partial")
    record = asdict(server)
    del record["folder"]
    partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
    partial.replace(path)


def _recorded(folder: Path) -> LocalServer:
    """What the start of the running server wrote down, waited for if it starts just now."""
    path = folder / RECORD
    deadline = time.monotonic() + RECORD_SECONDS
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        return LocalServer(folder=folder, **json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise AnnotationError(
            f"another `annotate up` is at work in {folder}, or {RECORD} is lost; try again"
        ) from error
