"""Requests to a server: kept connections, tries that are bounded, answers that are checked.

A session may be used by several threads, is pickled without its connections, and makes new ones in
a process that was forked.
"""

from __future__ import annotations

import json
import logging
import re
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from beholder.errors import ConfigError
from beholder.errors import ServerError as ServerError
from beholder.rewards._remote.address import Address
from beholder.rewards._remote.connections import Connections
from beholder.rewards._remote.credentials import SHORTEST, VARIABLE, Credentials
from beholder.rewards._remote.outage import Outage, spoken
from beholder.rewards._remote.retries import PASSING, Retries, retry_after

if TYPE_CHECKING:
    import httpx

_LOG = logging.getLogger(__name__)

MOST_BYTES = 256 * 2**20
"""A longer answer is none of a reward server."""

_SHOWN = 300
_NUMBER = re.compile(r"\[Errno -?\d+\] ")
_BUSY = 429

Part = tuple[str, tuple[str | None, bytes, str]]
"""Name of a part of a multipart body; file name, contents and type."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with status 200.

    Attributes:
        body: of its JSON.
        headers: names in lower case.
        request: the id under which the server's log has it.
    """

    body: object
    headers: Mapping[str, str]
    request: str


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A try that failed: why, and whether another may not."""

    why: str
    passes: bool
    request: str = ""
    status: int = 0
    code: str = ""
    after: float | None = None
    absent: bool = False

    def error(self, waited: float) -> ServerError:
        """What is raised after so many seconds of trying again."""
        gave_up = f"; given up after {spoken(waited)}" if waited else ""
        known = f" (request {self.request})" if self.request else ""
        return ServerError(f"{self.why}{gave_up}{known}", status=self.status, code=self.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One client of one server.

    Attributes:
        address: of the server.
        credentials: where its token is.
        timeout: seconds that one answer may take; longer than the server's own.
        retries: how long tries go on.
    """

    address: Address
    credentials: Credentials = field(default_factory=Credentials)
    timeout: float = 90.0
    retries: Retries = field(default_factory=Retries)
    connections: Connections = field(init=False, repr=False, compare=False)
    outage: Outage = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ConfigError(f"timeout must be above 0 seconds, got {self.timeout}")
        object.__setattr__(self, "connections", Connections(self.address, self.timeout))
        object.__setattr__(self, "outage", Outage(self.address.base))

    def get(
        self, path: str, *, absent: float, is_ready: Callable[[object], bool] = lambda body: True
    ) -> Reply:
        """What the server says at a path, once it says something that is ready.

        Raises ServerError as `post`, and if nothing can be connected to for `absent` seconds.
        """
        retries = replace(self.retries, absent=absent)

        def ask(request: str) -> Reply | _Trouble:
            found = self._tried("GET", path, (), request)
            if isinstance(found, Reply) and not is_ready(found.body):
                why = f"the server at {self.address.base} is not ready"
                return _Trouble(why, passes=True, request=request)
            return found

        return _until(ask, retries, threading.Event(), self.outage)

    def post(self, path: str, parts: Sequence[Part], stop: threading.Event | None = None) -> Reply:
        """The answer to a multipart body.

        What may pass, such as a queue that is full or a server that starts again, is tried anew
        until the patience is over, or `stop` is set. Scoring twice does no harm.

        Raises:
            ServerError: if there is no answer by then, the request is refused, or what answers is
                no reward server.
            ConfigError: if the token cannot be read.
        """

        def ask(request: str) -> Reply | _Trouble:
            return self._tried("POST", path, parts, request)

        return _until(ask, self.retries, stop or threading.Event(), self.outage)

    def warn_if_open(self) -> None:
        """Say so if others can read what is sent."""
        if self.address.is_open:
            _LOG.warning(
                "%s is asked over plain http: whoever is on the way reads pictures, prompts%s; put "
                "TLS before it, or use a tunnel",
                self.address,
                " and the token" if self.credentials.read() else "",
            )

    def _tried(
        self, method: str, path: str, parts: Sequence[Part], request: str
    ) -> Reply | _Trouble:
        import httpx  # noqa: PLC0415  (a tenth of a second)

        client = self.connections.client()
        try:
            asked = client.build_request(
                method,
                f"{self.address.base}{path}",
                files=list(parts) or None,
                headers={"X-Request-ID": request, **_bearer(self.credentials.read())},
            )
            answer = client.send(asked, stream=True)
            try:
                return self._read(answer, request)
            finally:
                answer.close()
        except httpx.TransportError as error:
            if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                return _unconnected(error, self.address)
            return _Trouble(_silence(error, self.address), passes=True, request=request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return _Trouble(f"{self.address.base}: {_plain(error)}", passes=False)

    def _read(self, answer: httpx.Response, request: str) -> Reply | _Trouble:
        body = _body(answer)
        if answer.status_code == 200 and body is not None:
            return Reply(body, {k.lower(): v for k, v in answer.headers.items()}, request)
        status, (code, message) = answer.status_code, _refusal(body)
        return _Trouble(
            self._why(answer, message),
            passes=status in PASSING,
            request=request,
            status=status,
            code=code,
            after=retry_after(answer.headers.get("Retry-After")),
        )

    def _why(self, answer: httpx.Response, message: str) -> str:
        status, base = answer.status_code, self.address.base
        if status == 401:
            return f"the server at {base} {_of_token(self.credentials.read())}"
        if answer.is_redirect:
            there = one_line(answer.headers.get("Location", ""))
            return f"{base} sends elsewhere, to {there!r}; load that address if it is meant"
        if message:
            return f"the server at {base} refused the request with status {status}: {message}"
        return f"what answers at {base} with status {status} is no reward server"


def _until(
    ask: Callable[[str], Reply | _Trouble],
    retries: Retries,
    stop: threading.Event,
    outage: Outage,
) -> Reply:
    """Ask until there is a reply, the patience is over or nobody wants it; all under one id."""
    request, tries = uuid.uuid4().hex, 1
    start = began = time.monotonic()
    while isinstance(found := ask(request), _Trouble):
        now, pause = time.monotonic(), retries.pause(tries, found.after)
        if not found.passes or retries.is_over(now - start + pause, absent=found.absent):
            outage.is_given_up()
            raise found.error(now - start if tries > 1 else 0.0)
        limit, is_busy = retries.limit(absent=found.absent), found.status == _BUSY
        outage.lasts(found.why, began=began, until=now + pause, limit=limit, busy=is_busy)
        if stop.wait(pause):
            raise found.error(now - start)
        tries, began = tries + 1, time.monotonic()
    outage.ends(time.monotonic())
    return found


def _unconnected(error: Exception, address: Address) -> _Trouble:
    """Nothing is there yet, or what is there speaks another protocol, which no patience changes."""
    fault: BaseException | None = error
    while fault is not None and not isinstance(fault, ssl.SSLError):
        fault = fault.__cause__ or fault.__context__
    if fault is None:
        return _Trouble(_silence(error, address), passes=True, absent=True)
    is_cut_off = isinstance(fault, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    is_strange = isinstance(fault, ssl.SSLCertVerificationError)
    plain = f"http:{address.base.partition(':')[2]}"
    how = "" if is_strange else f"; it may speak plain http: {plain}"
    return _Trouble(f"{_silence(error, address)}{how}", passes=is_cut_off, absent=True)


def _silence(error: Exception, address: Address) -> str:
    return f"no answer from {address.base}: {_plain(error)}"


def _of_token(token: str) -> str:
    how = f"give it in {VARIABLE} or with token_file="
    if not token:
        return f"asks for a token; {how}"
    if len(token) < SHORTEST:
        return f"does not take the token, which is shorter than any, {SHORTEST} characters; {how}"
    return f"does not take the token; {how}"


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _body(answer: httpx.Response) -> object:
    """The JSON of an answer; None if it is none, or too long."""
    read = bytearray()
    for piece in answer.iter_bytes():
        read += piece
        if len(read) > MOST_BYTES:
            return None
    try:
        return json.loads(read, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _refusal(body: object) -> tuple[str, str]:
    """Code and message of a refusal; "" of what is none."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", ""
    return one_line(error.get("code", "")), one_line(error.get("message", ""))


def one_line(text: object) -> str:
    """What a server says, fit for a message: printable, one line, not long."""
    plain = " ".join(text[: 4 * _SHOWN].split()) if isinstance(text, str) else ""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in plain)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"


def _plain(error: Exception) -> str:
    return one_line(_NUMBER.sub("", str(error))) or type(error).__name__
