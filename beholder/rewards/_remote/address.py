"""Where a reward server is: "http://host:port/mps", or below a path of a reverse proxy."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from beholder.errors import ConfigError

_SCHEMES = {"http": 80, "https": 443}
_SEGMENT = re.compile(r"(?!\.+$)[\w.~%-]+", re.ASCII)
_PLAIN = re.compile(r"[!-~]+")
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+(%[\w.-]+)?", re.ASCII)
_REWARD = re.compile(r"[\w.-]{1,64}", re.ASCII)
_ROUTE = re.compile(r"/v1(/score|/reload|/rewards(/[^/]*)?)?/*$")
_HOW = 'write it as "http://host:port/reward"'


@dataclass(frozen=True, slots=True)
class Address:
    """A reward on a server; its text is the same however it was written.

    Attributes:
        base: scheme, host, port and path of the server, without a slash at the end.
        host: lower case, an IPv6 address without brackets.
        reward: the name under which it is served; "" for the first that is.
    """

    base: str
    host: str
    reward: str

    def __str__(self) -> str:
        return f"{self.base}/{self.reward}" if self.reward else self.base

    @property
    def is_loopback(self) -> bool:
        """Whether nothing that is sent there leaves this machine."""
        return is_loopback(self.host)

    @property
    def is_encrypted(self) -> bool:
        """Whether it is spoken to by TLS."""
        return self.base.startswith("https:")

    @property
    def is_open(self) -> bool:
        """Whether others can read what is sent: plain HTTP that leaves this machine."""
        return not (self.is_encrypted or self.is_loopback)


def parsed(text: str) -> Address:
    """The address that was written; the last part of its path is the reward.

    Raises ConfigError if it is none, or holds a user, a password, a query or a fragment: addresses
    are written into tables and logs.
    """
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise ConfigError(f"{_shown(text)} is no address: {error}; {_HOW}") from error
    _check(text, parts, host)
    if route := _ROUTE.search(parts.path):
        place = text[: -len(route[0])]
        raise ConfigError(f"give the address without {route[0].rstrip('/')}: {place}/reward")
    *above, reward = [segment for segment in parts.path.split("/") if segment] or [""]
    if not all(map(_SEGMENT.fullmatch, above)) or not (reward == "" or _is_reward(reward)):
        raise ConfigError(f"{_shown(text)} has a path that names no reward; {_HOW}")
    place = f"[{host}]" if ":" in host else host
    if port is not None and port != _SCHEMES[parts.scheme]:
        place += f":{port}"
    return Address("/".join([f"{parts.scheme}://{place}", *above]), host, reward)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or as an IP address."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(address, "ipv4_mapped", None)
    return bool(address.is_loopback or (inner is not None and inner.is_loopback))


def _check(text: str, parts: SplitResult, host: str) -> None:
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "an address with a user or password in it would be written into tables and logs; "
            "leave them out, and give the token in BEHOLDER_TOKEN or with token_file="
        )
    if parts.query or parts.fragment:
        raise ConfigError(f"{_shown(text)} has a query or a fragment; {_HOW}")
    is_plain = _PLAIN.fullmatch(text) and _HOST.fullmatch(host)
    if not is_plain or parts.scheme not in _SCHEMES or parts.port == 0:
        raise ConfigError(f"{_shown(text)} is no address of a server; {_HOW}")


def _is_reward(name: str) -> bool:
    return bool(_SEGMENT.fullmatch(name) and _REWARD.fullmatch(name))


def _shown(text: str) -> str:
    """An address in a message; what stands before an @ may be a password."""
    plain = text.rpartition("@")[2] if "@" in text else text
    return ascii(plain if len(plain) <= 200 else f"{plain[:200]}…")
