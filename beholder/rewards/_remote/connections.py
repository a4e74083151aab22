"""Connections to one server, kept between requests and never shared with another process."""

from __future__ import annotations

import os
import ssl
import weakref
from typing import TYPE_CHECKING, Any

import beholder
from beholder.errors import ConfigError
from beholder.rewards._remote.address import Address

if TYPE_CHECKING:
    import httpx

_CONNECT = 10.0
_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading authorities takes a tenth of a second
_KEPT = 4.0  # seconds; servers close what is idle after 5


class Connections:
    """Opened when they are needed, in each process its own; used by many threads.

    A process that was forked leaves alone what its parent opened: two of them on one connection
    would read each other's answers. A copy, or what is pickled, is without any.

    Args:
        address: of the server.
        timeout: seconds in which it must answer; 10 at most for the connection.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self._address, self._timeout = address, timeout
        self._clients: dict[int, httpx.Client] = {}
        weakref.finalize(self, _close, self._clients)

    def __reduce__(self) -> tuple[Any, ...]:
        return Connections, (self._address, self._timeout)

    def client(self) -> httpx.Client:
        """This process's.

        Raises ConfigError if the environment's proxies or certificates cannot be used.
        """
        process = os.getpid()
        if process not in self._clients:  # of two threads here at once, one's is not used
            self._clients.setdefault(process, _opened(self._address, self._timeout))
        return self._clients[process]


def _opened(address: Address, timeout: float) -> httpx.Client:
    import httpx  # noqa: PLC0415  (a tenth of a second)

    limits = httpx.Limits(max_connections=None, keepalive_expiry=_KEPT)
    common: dict[str, Any] = {
        "timeout": httpx.Timeout(timeout, connect=min(timeout, _CONNECT)),
        "headers": {"User-Agent": f"beholder/{beholder.__version__}"},
        "limits": limits,
    }
    try:
        if not address.is_loopback:
            return httpx.Client(**common)
        # a proxy of the environment has nothing to do with this machine
        trusted = ssl.create_default_context() if address.is_encrypted else _NOBODY
        return httpx.Client(transport=httpx.HTTPTransport(verify=trusted, limits=limits), **common)
    except (ValueError, ImportError, OSError) as error:
        raise ConfigError(
            f"cannot connect as the environment's proxies and certificates say: {error}"
        ) from error


def _close(clients: dict[int, httpx.Client]) -> None:
    client = clients.pop(os.getpid(), None)
    if client is not None:
        client.close()
