"""Who is heard: whoever has the token, and no page of another site through a browser."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re

from starlette.types import ASGIApp, Receive, Scope, Send

from beholder.serving.guards.headers import has_body, only_value, values
from beholder.serving.hosts import is_loopback
from beholder.serving.refusals import ForbiddenError, UnauthorizedError
from beholder.serving.settings import Access

OPEN = frozenset({"/healthz", "/readyz"})
"""Addresses that say nothing but whether the server lives, to everybody that only asks."""

_PORT = re.compile(rb":[0-9]*\Z")


class Callers:
    """Refuses, before any byte of a body is read.

    Without a token the server trusts whoever reaches its loopback address. A browser reaches it
    too, for any page that it shows: pages of other sites are told by what browsers say of them,
    and pages whose name was bound anew to this machine by the header Host, which names them.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._token = _digest(access.token.encode()) if access.token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may be heard; else raises ForbiddenError or UnauthorizedError."""
        if scope["type"] == "http" and not _is_open(scope):
            self._check(scope)
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        if self._token is None and not _names_loopback(scope):
            raise ForbiddenError(
                "a server without a token answers to names of this machine alone, such as "
                "localhost; the header Host names another"
            )
        if _is_cross_site(scope):
            raise ForbiddenError("pages of other sites may not ask this server")
        if self._token is not None and not _has_token(scope, self._token):
            raise UnauthorizedError(
                "expected the header Authorization: Bearer TOKEN, or Basic with the token as "
                "password"
            )


def _is_open(scope: Scope) -> bool:
    """Whether everybody may ask this; a body costs memory, so strangers may bring none."""
    return scope["path"] in OPEN and scope["method"] in {"GET", "HEAD"} and not has_body(scope)


def _digest(secret: bytes) -> bytes:
    """Of one length whatever the secret's, so that nothing tells how long that is."""
    return hashlib.sha256(secret).digest()


def _has_token(scope: Scope, expected: bytes) -> bool:
    given = _given_token(only_value(scope, b"authorization") or b"")
    return hmac.compare_digest(_digest(given), expected)


def _given_token(authorization: bytes) -> bytes:
    """What stands for the token; "", which is none, where nothing does."""
    scheme, _, rest = authorization.strip().partition(b" ")
    match scheme.lower():
        case b"bearer":
            return rest.strip()
        case b"basic":
            return _password(rest.strip())
    return b""


def _password(encoded: bytes) -> bytes:
    try:
        user_and_password = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return b""
    return user_and_password.partition(b":")[2]


def _names_loopback(scope: Scope) -> bool:
    hosts = values(scope, b"host")
    return bool(hosts) and all(_is_loopback(host) for host in hosts)


def _is_loopback(authority: bytes) -> bool:
    host = _PORT.sub(b"", authority.strip())
    try:
        name = host.decode("ascii")
    except UnicodeDecodeError:
        return False
    in_brackets = name.startswith("[") and name.endswith("]")
    return is_loopback(name[1:-1] if in_brackets else name)


def _is_cross_site(scope: Scope) -> bool:
    """Whether a browser asks for a page of another origin.

    What follows a link to a page of ours is let through: it shows the page to the person alone.
    """
    site = only_value(scope, b"sec-fetch-site")
    if site is not None:
        return site not in {b"same-origin", b"none"} and not _follows_link(scope)
    origins = values(scope, b"origin")
    host = (only_value(scope, b"host") or b"").lower()
    return any(origin.lower().partition(b"://")[2] != host for origin in origins)


def _follows_link(scope: Scope) -> bool:
    return (
        scope["method"] in {"GET", "HEAD"}
        and only_value(scope, b"sec-fetch-mode") == b"navigate"
        and only_value(scope, b"sec-fetch-dest") == b"document"
    )
