"""The hosts that pictures may be fetched from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from beholder.serving.web_address import PORTS, WebAddress

_ENTRY = re.compile(r"(?P<any>\*\.)?(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:]+))(?::(?P<port>\d+))?")


def is_allowed(address: WebAddress, allowed: Sequence[str]) -> bool:
    """Whether an entry of the list, as `Access.urls` has them, is of the address.

    "example.org" is that host alone, "*.example.org" each host under it but not itself; without a
    port, the usual one of the scheme.
    """
    return any(_is_of(address, entry) for entry in allowed)


def _is_of(address: WebAddress, entry: str) -> bool:
    found = _ENTRY.fullmatch(entry)
    if found is None or address.port != int(found["port"] or PORTS[address.scheme]):
        return False
    host = found["six"] or found["host"]
    return address.host.endswith(f".{host}") if found["any"] else address.host == host
