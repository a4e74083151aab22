"""The one reading of an http address: what is checked is what is asked.

Two readers of addresses differ in corners, and between them fits an attack (Tsai, "A New Era of
SSRF", 2017). So an address is read once, into the parts that are then checked and connected to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from beholder.errors import DataError
from beholder.serving.hosts import is_address, is_name

PORTS = {"http": 80, "https": 443}
"""Where a scheme is spoken if an address says nothing else."""

_LONGEST = 4096  # characters
_ODD = re.compile(r"[\s\\\x00-\x1f\x7f]")
_LOG_IN = re.compile(r"[a-z0-9+.-]*:?//[^/?#]*@", re.I)


@dataclass(frozen=True, slots=True)
class WebAddress:
    """An address of http or https without log-in.

    Attributes:
        scheme: "http" or "https".
        host: in ASCII and lower case, an IPv6 address without brackets.
        port: in [1, 65535].
        target: path and query as they are sent, with a leading slash.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What browsers take for one server."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and port as the header Host names them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def root(self) -> str:
        """Scheme, host and port, without a closing slash."""
        return f"{self.scheme}://{self.authority}"

    def __str__(self) -> str:
        return self.root + self.target


def web_address(text: str, base: WebAddress | None = None) -> WebAddress:
    """What the text says; relative to `base`, as in a redirect, if there is one.

    Raises DataError, which never quotes the text, if it is no address of http or https, holds a
    log-in, spaces, backslashes or control characters, or names no host that can be looked up.
    """
    import httpx  # noqa: PLC0415

    if len(text) > _LONGEST:
        raise DataError(f"an address of {len(text)} characters; expected at most {_LONGEST}")
    if _ODD.search(text):
        raise DataError("an address with spaces, backslashes or control characters; escape them")
    if _LOG_IN.match(text):
        raise DataError(
            "an address with a log-in; expected http(s)://HOST/… without NAME:PASSWORD@"
        )
    try:
        found = httpx.URL(text) if base is None else httpx.URL(str(base)).join(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise DataError(
            "it cannot be read as an address such as https://HOST/PICTURE.png"
        ) from error
    return _checked(found.scheme, found.raw_host, found.port, found.raw_path)


def _checked(scheme: str, raw_host: bytes, port: int | None, target: bytes) -> WebAddress:
    if scheme not in PORTS:
        raise DataError("its scheme is not http or https")
    host = raw_host.decode("ascii").lower().removesuffix(".")
    if is_address(host):
        host = str(ip_address(host))  # of many spellings of an IPv6 address, one
    elif not is_name(host):
        raise DataError("its host is neither a name nor an address of the usual spelling")
    port = PORTS[scheme] if port is None else port
    if not 1 <= port <= 65535:
        raise DataError("its port is not in [1, 65535]")
    return WebAddress(scheme, host, port, target.decode("ascii"))
