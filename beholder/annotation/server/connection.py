"""A checked and guarded connection to a Label Studio, and what is read through it.

Reads are tried again while the server is unavailable; writes never are, because a server that
answers 500 may have stored the row all the same.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urljoin, urlsplit

from beholder.annotation.server.faults import UnavailableError, guarded
from beholder.annotation.server.stream import decode_array
from beholder.annotation.server.supported import check_sdk, check_server
from beholder.errors import AnnotationError

PAUSES_SECONDS = (1.0, 3.0)
"""Between the tries of a read."""
PAGE = 1000
"""Tasks or projects that are listed in one answer."""
IDS = 200
"""Tasks that are asked for by id in one request: their ids stand in its address."""
EXPORT_SECONDS = 900
"""The server builds the whole export before it sends the first byte."""
CHUNK_BYTES = 1 << 16

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Connection:
    """A Label Studio that answers, is of a supported release and accepts the token.

    Attributes:
        url: the server's root address, without a closing slash.
        version: its release.
        user: the id of the token's owner.
        client: the SDK's client; call it through `read` and `write`, whose errors hold no secret.
    """

    url: str
    version: str
    user: int
    client: Any = field(repr=False)
    _http: Any = field(repr=False)

    def read(
        self,
        doing: str,
        function: Callable[Arguments, Answer],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Answer:
        """What the function returns; tried three times while the server is unavailable.

        Raises AnnotationError saying what was being done, and UnavailableError after the last try.
        """
        return _patiently(f"{doing} at {self.url}", lambda: function(*args, **kwargs))

    def write(
        self,
        doing: str,
        function: Callable[Arguments, Answer],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Answer:
        """What the function returns, called once.

        Raises AnnotationError saying what was being done. After an UnavailableError the server may
        have done it or not: read before writing again.
        """
        with guarded(f"{doing} at {self.url}"):
            return function(*args, **kwargs)

    def known_keys(self, project: int) -> dict[str, list[int]]:
        """Ids of the project's tasks by `task_key`; several ids are a task that was sent twice.

        Tasks without a key, which somebody else made, stand under "".
        """
        keys: dict[str, list[int]] = {}
        for task in self._tasks(project, None):
            keys.setdefault(str((task.data or {}).get("task_key") or ""), []).append(task.id)
        return keys

    def changed_since(self, project: int, when: str) -> list[int]:
        """Ids of the project's tasks that changed after a time of the server's clock, in order.

        `when` is in UTC and has microseconds, as in the server's answers: without them it fails.
        """
        changed = {
            "filter": "filter:tasks:updated_at",
            "operator": "greater",
            "type": "Datetime",
            "value": when,
        }
        query = json.dumps({"filters": {"conjunction": "and", "items": [changed]}})
        return sorted({task.id for task in self._tasks(project, query)})

    def export(self, project: int, ids: Sequence[int] | None = None) -> Iterator[object]:
        """Each task of the project's JSON export, or each of these ids, as it arrives.

        Raises AnnotationError if the server fails, also in the middle.
        """
        if ids is None:
            yield from decode_array(self._export(project, {}))
            return
        for start in range(0, len(ids), IDS):  # the SDK's own `ids` is ignored by the server
            wanted = list(ids[start : start + IDS])
            yield from decode_array(self._export(project, {"ids[]": wanted}))

    def find_project(self, description: str) -> int | None:
        """The id of the oldest project with exactly this description, or None."""
        projects = self._listed("looking for the project", self.client.projects.list, "count")
        return min((one.id for one in projects if one.description == description), default=None)

    def invite(self) -> str:
        """Address where annotators sign up; whoever has it becomes a member."""

        def ask() -> str:
            answer = self._request("GET", "api/invite")
            return str(answer.json()["invite_url"])

        return urljoin(f"{self.url}/", self.read("asking for the invite link", ask))

    def post_files(
        self, path: str, files: Sequence[tuple[str, Any]], form: Mapping[str, str]
    ) -> Any:
        """The JSON answer to a form with files, each (field, (name, bytes, media type)).

        Raises AnnotationError as `write` does.
        """

        def send() -> Any:
            return self._request("POST", path, files=files, data=form).json()

        return self.write("sending files", send)

    def patch(self, doing: str, path: str, values: Mapping[str, object]) -> None:
        """Change fields of what stands at a path of the API; doing so twice changes nothing.

        Raises AnnotationError as `read` does.
        """
        self.read(doing, self._request, "PATCH", path, json=dict(values))

    def close(self) -> None:
        """Give back the sockets."""
        self._http.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _request(self, method: str, path: str, **content: object) -> Any:
        """The answer to a call that the SDK lacks, with its headers: a PAT is refreshed there."""
        headers = self.client._client_wrapper.get_headers()
        answer = self._http.request(method, f"{self.url}/{path}", headers=headers, **content)
        return answer.raise_for_status()

    def _export(self, project: int, query: Mapping[str, list[int]]) -> Iterator[bytes]:
        doing = f"exporting project {project}"
        options = {
            "timeout": EXPORT_SECONDS,
            "chunk_size": CHUNK_BYTES,
            "additional_query_parameters": query,
        }

        def begin() -> tuple[bytes, Iterator[bytes]]:
            chunks = self.client.projects.exports.download_sync(
                project, export_type="JSON", download_all_tasks=True, request_options=options
            )
            return next(chunks, b""), chunks

        first, rest = self.read(doing, begin)
        yield first
        with guarded(f"{doing} at {self.url}"):
            yield from rest

    def _tasks(self, project: int, query: str | None) -> Iterator[Any]:
        return self._listed(
            f"listing the tasks of project {project}",
            self.client.tasks.list,
            "total",
            project=project,
            query=query,
            include="id,data",
            fields="task_only",
        )

    def _listed(
        self, doing: str, listing: Callable[..., Any], count: str, **options: object
    ) -> Iterator[Any]:
        """Every item of a list that comes in pages; `count` names the attribute with its length."""
        seen: set[int] = set()
        total, page = 1, 0
        while page * PAGE < total:
            page += 1
            listed = self.read(doing, listing, page=page, page_size=PAGE, **options)
            total = getattr(listed.response, count) if page == 1 else total
            seen.update(item.id for item in listed.items)
            yield from listed.items
        if len(seen) < total:  # a deletion moves later items to pages that were read already
            raise UnavailableError(f"{doing} at {self.url}: some were deleted meanwhile; try again")


def connect(url: str, token: str, *, timeout: float = 120) -> Connection:
    """A connection to the Label Studio at `url`, whose API accepts the token.

    `token` is a legacy token or a personal access token; `timeout` is in seconds, for each answer.
    Raises AnnotationError if the address or token is malformed, the server is down, refuses the
    token, or it or the installed SDK is of an unsupported release.
    """
    root, secret = checked_url(url), _checked_token(token)
    check_sdk()
    _hush()
    import httpx  # noqa: PLC0415
    from label_studio_sdk.client import LabelStudio  # noqa: PLC0415

    # A followed http -> https redirect turns POST into GET; a proxy cannot reach our loopback.
    http = httpx.Client(timeout=timeout, follow_redirects=False, trust_env=not _is_local(root))
    given = {"base_url": f"{root}/", "api_key": secret, "timeout": timeout}
    doing = f"connecting to {root}"
    with ExitStack() as until_checked:
        until_checked.enter_context(http)
        with guarded(doing):
            client = LabelStudio(max_retries=0, httpx_client=http, **given)
        version = check_server(root, _patiently(doing, client.versions.get).release)
        user = _patiently(doing, client.users.whoami).id
        until_checked.pop_all()
    return Connection(root, version, user, client, http)


def token_from_env(name: str) -> str:
    """The API token that this environment variable holds; AnnotationError if it holds none."""
    token = os.environ.get(name, "").strip()
    if not token:
        raise AnnotationError(f"environment variable {name} is empty; put the API token into it")
    return token


def checked_url(url: str) -> str:
    """The root address of a server without a closing slash; AnnotationError if it is none."""
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in {"http", "https"} or not host:
        raise AnnotationError(f"{url!r} is no server's address; expected http(s)://HOST[:PORT]")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise AnnotationError(f"expected the root address of {host}, without log-in, ? or #")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _patiently(doing: str, function: Callable[[], Answer]) -> Answer:
    for seconds in PAUSES_SECONDS:
        with suppress(UnavailableError), guarded(doing):
            return function()
        time.sleep(seconds)
    with guarded(doing):
        return function()


def _checked_token(token: str) -> str:
    secret = token.strip()
    if not secret:
        raise AnnotationError("the API token is empty")
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise AnnotationError("the API token holds characters that no token has; copy it again")
    return secret


def _is_local(root: str) -> bool:
    return urlsplit(root).hostname in {"127.0.0.1", "localhost", "::1"}


def _hush() -> None:
    """At level DEBUG, httpcore writes the headers of every answer, session cookies among them."""
    wire = logging.getLogger("httpcore")
    wire.setLevel(max(wire.level, logging.INFO))
